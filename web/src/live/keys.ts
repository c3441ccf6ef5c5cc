/** Keys that act anywhere in the view, but not while one types or has a dialog open. */

import { useLayoutEffect, useRef } from "preact/hooks";

const TYPING = "input, select, textarea, [role=tab], video";
/** What Enter and Space press when it has the focus. */
const PRESSED: Partial<Record<string, string>> = { Enter: "a[href], button, summary", " ": "button, summary" };

export function useKeys(actions: Record<string, () => void>): void {
  const newest = useRef(actions);
  newest.current = actions;
  useLayoutEffect(() => { // at once: a key that is pressed as soon as the view is there counts
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const focused = event.target as Element;
      if (focused.closest(TYPING) || document.querySelector("dialog[open]")) return;
      const pressed = PRESSED[event.key];
      if (pressed && focused.closest(pressed)) return;
      const action = newest.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

export function toggleFullScreen(element: HTMLElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void element?.requestFullscreen();
}
