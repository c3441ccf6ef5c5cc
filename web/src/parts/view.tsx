import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

/** The frame of a view: its title, its buttons, and what it shows. */
export function View(props: {
  title: string;
  /** At the right of the title. */
  actions?: ComponentChildren;
  /** At the left of the title, such as a link back. */
  before?: ComponentChildren;
  children: ComponentChildren;
  /** The title is for screen readers only. */
  titleHidden?: boolean;
  class?: string;
}): JSX.Element {
  const { title, actions, before, children, titleHidden } = props;
  useEffect(() => {
    document.title = `${title} – Watchpost`;
  }, [title]);
  return (
    <div class={`view ${props.class ?? ""}`}>
      <header class={`view-head${titleHidden && !actions ? " unseen" : ""}`}>
        <div class="view-title">
          {before}
          <h1 class={titleHidden ? "unseen" : undefined}>{title}</h1>
        </div>
        {actions && <div class="view-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** A group of things with a heading. */
export function Card(props: {
  title?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}): JSX.Element {
  const { title, actions, children } = props;
  return (
    <section class={`card ${props.class ?? ""}`}>
      {(title || actions) && (
        <header class="card-head">
          {title && <h2>{title}</h2>}
          {actions && <div class="view-actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}
