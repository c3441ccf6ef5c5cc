import type { JSX } from "preact";
import { useId } from "preact/hooks";

/** Any number of a few alternatives, as checkboxes in a row. */
export function Choices({ label, hint, options, chosen, onChange }: {
  label: string;
  hint?: string;
  options: readonly { value: string; label: string }[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}): JSX.Element {
  const id = useId();
  const toggle = (value: string, on: boolean) =>
    onChange(options.map((option) => option.value).filter((one) => (one === value ? on : chosen.includes(one))));
  return (
    <fieldset class="choices" aria-describedby={hint ? `${id}-hint` : undefined}>
      <legend>{label}</legend>
      <div>
        {options.map((option) => (
          <label key={option.value}>
            <input
              type="checkbox"
              checked={chosen.includes(option.value)}
              onChange={(event) => toggle(option.value, event.currentTarget.checked)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
      {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
    </fieldset>
  );
}
