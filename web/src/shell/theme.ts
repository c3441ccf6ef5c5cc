/** Light or dark: as the system says, or as the person chose. */

import { createStore } from "../store";
import { remember, remembered } from "../stored";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const isTheme = (value: string | null): value is Theme => THEMES.includes(value as Theme);
const stored = remembered("theme");
export const theme = createStore<Theme>(isTheme(stored) ? stored : "system");

function apply(): void {
  const chosen = theme.get();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}
apply();
theme.subscribe(apply);

export function chooseTheme(value: Theme): void {
  remember("theme", value === "system" ? null : value);
  theme.set(value);
}
