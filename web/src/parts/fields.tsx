/** Form fields: each has a label, and may have a hint and a problem. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

interface Common {
  label: string;
  /** The label is for screen readers only, such as in a toolbar. */
  labelHidden?: boolean;
  hint?: ComponentChildren;
  problem?: string;
  disabled?: boolean;
}

export interface FieldProps extends Common {
  /** Renders the control with these attributes. */
  children: (attributes: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => JSX.Element;
  class?: string;
}

/** A label with any control below it; the fields below use it. */
export function Field(props: FieldProps): JSX.Element {
  const { label, labelHidden, hint, problem, children } = props;
  const id = useId();
  const notes = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ");
  return (
    <div class={`field ${props.class ?? ""}`}>
      <label for={id} class={labelHidden ? "unseen" : undefined}>
        {label}
      </label>
      {children({ id, "aria-describedby": notes || undefined, "aria-invalid": problem ? true : undefined })}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {problem && (
        <p class="problem" id={`${id}-problem`} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

export interface TextFieldProps extends Common {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "number" | "search" | "url" | "time" | "date" | "datetime-local";
  required?: boolean;
  placeholder?: string;
  autocomplete?: string;
  maxLength?: number;
  minLength?: number;
  min?: number;
  max?: number;
  step?: number | "any";
  autoFocus?: boolean;
  /** Names, addresses and codes: the browser neither corrects nor capitalizes them. */
  literal?: boolean;
}

export function TextField(props: TextFieldProps): JSX.Element {
  const { label, labelHidden, hint, problem, value, onInput, literal, autoFocus, type = "text", ...rest } = props;
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (autoFocus) input.current?.focus();
  }, [autoFocus]);
  return (
    <Field label={label} labelHidden={labelHidden} hint={hint} problem={problem}>
      {(attributes) => (
        <input
          ref={input}
          type={type as "text"}
          {...rest}
          {...attributes}
          {...(literal && { spellcheck: false, autocapitalize: "none", autocorrect: "off" })}
          value={value}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export interface Option<Value extends string> {
  value: Value;
  label: string;
}

export interface SelectFieldProps<Value extends string> extends Common {
  value: Value;
  options: readonly Option<Value>[];
  onChange: (value: Value) => void;
}

export function SelectField<Value extends string>(props: SelectFieldProps<Value>): JSX.Element {
  const { label, labelHidden, hint, problem, value, options, onChange, disabled } = props;
  return (
    <Field label={label} labelHidden={labelHidden} hint={hint} problem={problem}>
      {(attributes) => (
        <select
          {...attributes}
          disabled={disabled}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value as Value)}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export interface SwitchProps {
  label: string;
  /** What it belongs to, said by screen readers where several switches have one label. */
  of?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  hint?: ComponentChildren;
  disabled?: boolean;
}

/** Turns something on or off at once. */
export function Switch({ label, of, checked, onChange, hint, disabled }: SwitchProps): JSX.Element {
  const id = useId();
  return (
    <div class="switch">
      <input
        id={id}
        type="checkbox"
        role="switch"
        checked={checked}
        disabled={disabled}
        aria-label={of && `${label}: ${of}`}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

export interface SegmentsProps<Value extends string> {
  /** What is chosen, for screen readers. */
  label: string;
  value: Value;
  options: readonly Option<Value>[];
  onChange: (value: Value) => void;
}

/** A few alternatives beside each other, one of them chosen. */
export function Segments<Value extends string>(props: SegmentsProps<Value>): JSX.Element {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="unseen">{props.label}</legend>
      {props.options.map(({ value, label }) => (
        <label key={value}>
          <input
            type="radio"
            class="unseen"
            name={name}
            checked={value === props.value}
            onChange={() => props.onChange(value)}
          />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}
