/** DOM helpers. Text is always inserted as text, never as HTML: names come from strangers. */

import { t } from "./i18n.js";

/**
 * An element of the page, which must exist.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * A new element with properties, and children that are elements or plain text.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<HTMLElementTagNameMap[K]>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * Show a text in an element that stays hidden without one.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/**
 * Write a text only if it differs, so that screen readers and selections are not disturbed.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const QUIET_MS = 3000;
let spokenAt = -QUIET_MS;
let timer = 0;

/**
 * Announce a text to screen readers, at most once in a few seconds; the newest one wins.
 *
 * @param {string} text
 * @param {() => void} [onSpoken]
 */
export function announce(text, onSpoken) {
  clearTimeout(timer);
  const wait = Math.max(100, spokenAt + QUIET_MS - performance.now());
  timer = setTimeout(() => {
    spokenAt = performance.now();
    byId("announcer").textContent = text;
    onSpoken?.();
  }, wait);
}

const COPIED_MS = 2000;

/**
 * Copy a text, and confirm that on the button for a moment.
 *
 * @param {string} text
 * @param {HTMLButtonElement} button
 */
export async function copy(text, button) {
  if (!(await toClipboard(text))) return;
  button.textContent = t("copied");
  announce(t("copied"));
  setTimeout(() => (button.textContent = t("copy")), COPIED_MS);
}

/** @param {string} text */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text); // over plain http from another machine there is no clipboard API
  }
}

/** @param {string} text */
function copySelected(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = make("textarea", { value: text, className: "unseen" });
  (document.querySelector("dialog[open]") ?? document.body).append(field); // all else is inert
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return done;
}
