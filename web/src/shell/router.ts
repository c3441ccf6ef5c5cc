/** The address of what is shown: `#/VIEW/PART/…?NAME=VALUE`. */

import { createStore, useStore } from "../store";

export interface Route {
  /** The name of the view. */
  view: string;
  /** What follows it, such as the id of a camera. */
  path: string[];
  query: URLSearchParams;
}

const FIRST = "live";

function parse(hash: string): Route {
  if (hash && !hash.startsWith("#/")) return { view: FIRST, path: [decoded(hash.slice(1))], query: new URLSearchParams() };
  const [path = "", query = ""] = hash.slice(2).split("?");
  const [view = "", ...rest] = path.split("/").map(decoded);
  return { view: view || FIRST, path: rest.filter(Boolean), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const route = createStore<Route>(parse(location.hash));
addEventListener("hashchange", () => route.set(parse(location.hash)));

export function useRoute(): Route {
  return useStore(route);
}

/** The `href` of a place in the page: `link("cameras", "new")`, `link("events", { camera: "gate" })`. */
export function link(view: string, ...rest: (string | Record<string, string | undefined>)[]): string {
  const parts = rest.filter((part) => typeof part === "string").map(encodeURIComponent);
  const query = new URLSearchParams();
  for (const part of rest) {
    if (typeof part === "string") continue;
    for (const [name, value] of Object.entries(part)) if (value) query.set(name, value);
  }
  const text = query.toString();
  return `#/${[view, ...parts].join("/")}${text ? `?${text}` : ""}`;
}

/** Go to a place made by `link`; `replace` makes no step for the browser's back button. */
export function go(href: string, { replace = false } = {}): void {
  if (href === location.hash) return;
  if (replace) {
    history.replaceState(null, "", href);
    route.set(parse(href));
  } else location.hash = href;
}
