/** The page's language: its texts, and its formats of numbers, times and lists. */

import { CATALOGUE } from "./catalogue.js";

const STORED_AS = "watchpost.language";
const FALLBACK = "en";

/** @type {Set<() => void>} */
const listeners = new Set();
let language = FALLBACK;

/** @returns {string} the two letters of the page's language */
export function current() {
  return language;
}

/** Use the language chosen earlier, else the browser's first one that we have. */
export function begin() {
  const wanted = [stored(), ...navigator.languages, navigator.language];
  const known = wanted.map((tag) => (tag ?? "").split("-")[0].toLowerCase());
  choose(known.find((tag) => tag in CATALOGUE) ?? FALLBACK);
}

/**
 * Switch the whole page to another language.
 *
 * @param {string} tag
 * @param {{remember?: boolean}} [options]
 */
export function choose(tag, { remember = false } = {}) {
  language = tag in CATALOGUE ? tag : FALLBACK;
  if (remember) store(language);
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset.i18n ?? "");
  }
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    const key = /** @type {HTMLElement} */ (element).dataset.i18nLabel ?? "";
    element.setAttribute("aria-label", t(key));
  }
  for (const listener of listeners) listener();
}

/**
 * Call back after each change of language, to rewrite texts that are not in the page's markup.
 *
 * @param {() => void} listener
 */
export function onChange(listener) {
  listeners.add(listener);
}

/**
 * A text in the page's language. The parameter ``n`` selects the plural form, if the text has several.
 *
 * @param {string} key
 * @param {Record<string, string | number>} [parameters]
 * @returns {string}
 */
export function t(key, parameters = {}) {
  const text = CATALOGUE[language][key] ?? CATALOGUE[FALLBACK][key] ?? key;
  const n = Number(parameters.n ?? 0);
  const form = typeof text === "string" ? text : (text[plural().select(n)] ?? text.other ?? key);
  return form.replace(/\{(\w+)\}/g, (_, name) => {
    const value = parameters[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

/**
 * The text with this key, or the alternative for a word that the page does not know yet.
 *
 * @param {string} key
 * @param {string} otherwise
 * @returns {string}
 */
export function textOr(key, otherwise) {
  return key in CATALOGUE[FALLBACK] ? t(key) : otherwise;
}

/** @param {number} value @param {number} [digits] digits after the decimal point */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** @param {number} share  0 to 1 */
export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}

/** @param {number} seconds  since 1970 */
export function clock(seconds) {
  return new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(seconds * 1000);
}

/** @param {string[]} parts */
export function list(parts) {
  return new Intl.ListFormat(language, { type: "unit", style: "short" }).format(parts);
}

function plural() {
  return new Intl.PluralRules(language);
}

function stored() {
  try {
    return localStorage.getItem(STORED_AS);
  } catch {
    return null; // storage is disabled: use the browser's language
  }
}

/** @param {string} tag */
function store(tag) {
  try {
    localStorage.setItem(STORED_AS, tag);
  } catch {
    // storage is disabled: the choice lasts until the page is closed
  }
}
