/** What a view says: that it loads, has nothing, failed, or has done something. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { createStore, useStore } from "../store";
import { t } from "../words/common";
import { Button } from "./button";
import type { Icon } from "./icons";

export function Spinner({ label }: { label?: string }): JSX.Element {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      <span>{label ?? t("loading")}</span>
    </div>
  );
}

export interface EmptyProps {
  title: string;
  icon?: Icon;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}

/** Says why there is nothing to show, and what one can do. */
export function Empty({ title, icon: Icon, children, actions }: EmptyProps): JSX.Element {
  return (
    <div class="empty">
      {Icon && (
        <span class="empty-icon">
          <Icon />
        </span>
      )}
      <h2>{title}</h2>
      {children && <div class="empty-text">{children}</div>}
      {actions && <div class="empty-actions">{actions}</div>}
    </div>
  );
}

/** A problem in a line, such as an error of the server, with a button to try again. */
export function Problem({ text, onRetry }: { text: string; onRetry?: () => void }): JSX.Element {
  return (
    <div class="notice bad" role="alert">
      <span>{text}</span>
      {onRetry && (
        <Button small onClick={onRetry}>
          {t("retry")}
        </Button>
      )}
    </div>
  );
}

/** A word with a coloured dot: the state of a stream, a job, a delivery. */
export function StateMark({ state, label }: { state: Tone | string; label: string }): JSX.Element {
  return (
    <span class="state" data-tone={TONES[state] ?? state}>
      {label}
    </span>
  );
}

export type Tone = "good" | "warn" | "bad" | "idle";
const TONES: Record<string, Tone> = {
  running: "good",
  starting: "warn",
  reconnecting: "warn",
  stopped: "idle",
  failed: "bad",
};

interface ToastText {
  id: number;
  text: string;
  bad: boolean;
}

const toasts = createStore<ToastText[]>([]);
const SHOWN_MS = 5000;
const MOST = 3;
let lastToast = 0;

/** Show a short text for some seconds; screen readers read it. */
export function toast(text: string, { bad = false } = {}): void {
  const id = ++lastToast;
  toasts.set([...toasts.get().slice(1 - MOST), { id, text, bad }]);
  setTimeout(() => toasts.set(toasts.get().filter((one) => one.id !== id)), SHOWN_MS);
}

/** Where toasts are shown, above dialogs, too; the shell has it. */
export function Toasts(): JSX.Element {
  const shown = useStore(toasts);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const popover = box.current;
    if (!popover?.showPopover) return; // an older browser shows it below dialogs
    popover.hidePopover();
    if (shown.length > 0) popover.showPopover();
  }, [shown]);
  return (
    <>
      <p class="unseen" role="status">
        {shown.map(({ text }) => text).join(" ")}
      </p>
      <div ref={box} class="toasts" popover="manual" aria-hidden="true">
        {shown.map(({ id, text, bad }) => (
          <div key={id} class={`toast${bad ? " bad" : ""}`}>
            {text}
          </div>
        ))}
      </div>
    </>
  );
}

/** Copy a text to the clipboard, and say so. */
export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea"); // pages without HTTPS have no clipboard
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast(t("copied"));
}
