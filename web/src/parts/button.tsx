import type { ComponentChildren, JSX } from "preact";
import type { Icon } from "./icons";

export interface ButtonProps {
  children: ComponentChildren;
  onClick?: (event: MouseEvent) => void;
  /** `primary`: the one main action of a view or dialog; `danger`: deletes; `quiet`: without a border. */
  kind?: "plain" | "primary" | "danger" | "quiet";
  type?: "button" | "submit";
  icon?: Icon;
  disabled?: boolean;
  /** A call is running; the button cannot be pressed again. */
  busy?: boolean;
  small?: boolean;
  pressed?: boolean;
  title?: string;
  /** A longer name, for screen readers, where several buttons have the same text; it contains the text. */
  label?: string;
  class?: string;
}

export function Button(props: ButtonProps): JSX.Element {
  const { children, kind = "plain", type = "button", icon: Icon, busy, disabled, small, pressed } = props;
  return (
    <button
      type={type}
      class={`button ${kind}${small ? " small" : ""} ${props.class ?? ""}`}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      aria-pressed={pressed}
      aria-label={props.label}
      title={props.title}
      onClick={props.onClick}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : Icon && <Icon />}
      <span>{children}</span>
    </button>
  );
}

export interface IconButtonProps {
  icon: Icon;
  /** What it does; shown as a tooltip. */
  label: string;
  onClick?: (event: MouseEvent) => void;
  pressed?: boolean;
  expanded?: boolean;
  disabled?: boolean;
  class?: string;
}

export function IconButton(props: IconButtonProps): JSX.Element {
  const { icon: Icon, label, onClick, pressed, expanded, disabled } = props;
  return (
    <button
      type="button"
      class={`icon-button ${props.class ?? ""}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      aria-expanded={expanded}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon />
    </button>
  );
}

/** A link that looks like a button. */
export function ButtonLink(props: {
  href: string;
  children: ComponentChildren;
  kind?: "plain" | "primary" | "quiet";
  icon?: Icon;
  small?: boolean;
  download?: boolean | string;
}): JSX.Element {
  const { href, children, kind = "plain", icon: Icon, small, download } = props;
  return (
    <a class={`button ${kind}${small ? " small" : ""}`} href={href} download={download}>
      {Icon && <Icon />}
      <span>{children}</span>
    </a>
  );
}
