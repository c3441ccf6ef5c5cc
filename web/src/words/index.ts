/**
 * The page's language: texts, and formats of numbers, times and lists.
 *
 * Each view has a file beside this one that ends in `export const t = words({ en, ru, ko })`; the
 * compiler rejects a language that lacks a text or has one too many.
 */

import { createStore } from "../store";
import { remember, remembered } from "../stored";

export const LANGUAGES = { en: "English", ru: "Русский", ko: "한국어" } as const;
export type Language = keyof typeof LANGUAGES;

/** One text, or one for each plural form, which the parameter `n` selects. */
export type Text = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>);
export type Parameters = Record<string, string | number>;
type Texts<Key extends string> = Record<Key, Text>;

const isLanguage = (tag: string): tag is Language => tag in LANGUAGES;

function preferred(): Language {
  const wanted = [remembered("language"), ...navigator.languages];
  const tags = wanted.map((tag) => (tag ?? "").split("-")[0]!.toLowerCase());
  return tags.find(isLanguage) ?? "en";
}

export const language = createStore<Language>(preferred());

function stateLanguage(): void {
  document.documentElement.lang = language.get();
}
stateLanguage();
language.subscribe(stateLanguage);

export function chooseLanguage(tag: Language): void {
  remember("language", tag);
  language.set(tag);
}

/** Makes the function that returns a text of a view in the page's language. */
export function words<Key extends string>(all: {
  en: Texts<Key>;
  ru: Texts<NoInfer<Key>>;
  ko: Texts<NoInfer<Key>>;
}) {
  const t = (key: Key, parameters: Parameters = {}): string => fill(all[language.get()][key], parameters);
  /** The text with a key that the server gave, or the key itself where the page does not know it. */
  t.or = (key: string, otherwise: string, parameters: Parameters = {}): string =>
    key in all.en ? t(key as Key, parameters) : otherwise;
  return t;
}

function fill(text: Text, parameters: Parameters): string {
  const form = typeof text === "string" ? text : (text[pluralOf(parameters)] ?? text.other);
  return form.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

function pluralOf(parameters: Parameters): Intl.LDMLPluralRule {
  return new Intl.PluralRules(language.get()).select(Number(parameters.n ?? 0));
}

export function number(value: number, digits = 0): string {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language.get(), options).format(value);
}

/** A share of 0 to 1 as a percentage. */
export function percent(share: number): string {
  return new Intl.NumberFormat(language.get(), { style: "percent" }).format(share);
}

/** The time of day; `seconds` since 1970. */
export function clock(seconds: number, shown: { seconds?: boolean } = {}): string {
  return format(seconds, { timeStyle: shown.seconds === false ? "short" : "medium" });
}

/** Date and time with seconds; `seconds` since 1970. */
export function withSeconds(seconds: number): string {
  return format(seconds, { dateStyle: "medium", timeStyle: "medium" });
}

/** Date and time; `seconds` since 1970. */
export function dateTime(seconds: number): string {
  return format(seconds, { dateStyle: "medium", timeStyle: "short" });
}

/** The day; `seconds` since 1970. */
export function day(seconds: number): string {
  return format(seconds, { dateStyle: "full" });
}

function format(seconds: number, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat(language.get(), options).format(seconds * 1000);
}

const AGES: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago a time was, such as “5 minutes ago”; `seconds` since 1970. */
export function ago(seconds: number): string {
  const age = Math.max(0, Date.now() / 1000 - seconds);
  const [unit, length] = AGES.find(([, size]) => age >= size) ?? ["second", 1];
  const relative = new Intl.RelativeTimeFormat(language.get(), { numeric: "auto", style: "short" });
  return relative.format(-Math.floor(age / length), unit);
}

const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** A number of bytes, such as “1.2 GB”. */
export function bytes(count: number): string {
  const power = Math.min(BYTES.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return new Intl.NumberFormat(language.get(), {
    style: "unit",
    unit: BYTES[power],
    maximumFractionDigits: value < 10 && power > 0 ? 1 : 0,
  }).format(value);
}

export function list(parts: string[]): string {
  return new Intl.ListFormat(language.get(), { type: "unit", style: "short" }).format(parts);
}
