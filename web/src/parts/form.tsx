import type { ComponentChildren, JSX } from "preact";

interface FormProps {
  class?: string;
  /** Called instead of sending the form; what it returns is ignored. */
  onSubmit: () => unknown;
  children: ComponentChildren;
}

/** A form that a script sends, by its button or the Enter key. */
export function Form({ class: name = "form", onSubmit, children }: FormProps): JSX.Element {
  return (
    <form
      class={name}
      onSubmit={(event) => {
        event.preventDefault();
        void onSubmit();
      }}
    >
      {children}
    </form>
  );
}
