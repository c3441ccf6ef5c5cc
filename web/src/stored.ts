/** Choices that the browser remembers; a browser without storage forgets them when it is closed. */

const PREFIX = "watchpost.";
const unsaved = new Map<string, string>();

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name) ?? unsaved.get(name) ?? null;
  } catch {
    return unsaved.get(name) ?? null;
  }
}

export function remember(name: string, value: string | null): void {
  if (value === null) unsaved.delete(name);
  else unsaved.set(name, value);
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // storage is disabled or full
  }
}

/** A remembered value that was written as JSON, if it is still of the right shape. */
export function rememberedJson<T>(name: string, fits: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(remembered(name) ?? "null");
    return fits(value) ? value : null;
  } catch {
    return null;
  }
}
