/** How the wall is laid out: its size, and layouts of one's own, which the browser keeps for each user. */

import { useState } from "preact/hooks";
import { session } from "../api/session";
import type { Camera } from "../api/cameras";
import { remember, rememberedJson } from "../stored";

export const SIZES = [1, 4, 9, 16] as const;
export type Size = (typeof SIZES)[number];

/** Chosen cameras in their order. */
export interface Layout {
  name: string;
  size: Size;
  cameras: string[];
}

export interface WallChoice {
  size: Size;
  /** The name of a layout of one's own; null for all cameras. */
  chosen: string | null;
  own: Layout[];
}

const FIRST: WallChoice = { size: 9, chosen: null, own: [] };

function isLayout(value: unknown): value is Layout {
  const { name, size, cameras } = (value ?? {}) as Partial<Layout>;
  return typeof name === "string" && SIZES.includes(size!) && Array.isArray(cameras);
}

function isChoice(value: unknown): value is WallChoice {
  const { size, chosen, own } = (value ?? {}) as Partial<WallChoice>;
  const named = chosen === null || typeof chosen === "string";
  return SIZES.includes(size!) && named && Array.isArray(own) && own.every(isLayout);
}

/** Where the choice is kept: people who share a browser each have their own. */
function keyOfUser(): string {
  const current = session.get();
  return `wall.${(current.kind === "open" && current.account.name) || ""}`;
}

/** The choice, and the function that changes and keeps it. */
export function useWallChoice(): [WallChoice, (changes: Partial<WallChoice>) => void] {
  const [key] = useState(keyOfUser);
  const [choice, setChoice] = useState(() => rememberedJson(key, isChoice) ?? FIRST);
  const change = (changes: Partial<WallChoice>) => {
    const next = { ...choice, ...changes };
    remember(key, JSON.stringify(next));
    setChoice(next);
  };
  return [choice, change];
}

/** The layout in use: its size, and its cameras of those that there are. */
export function arranged(choice: WallChoice, cameras: Camera[]): { size: Size; cameras: Camera[] } {
  const layout = choice.own.find(({ name }) => name === choice.chosen);
  if (!layout) return { size: choice.size, cameras: cameras.filter(({ state }) => state !== "stopped") };
  const known = new Map(cameras.map((camera) => [camera.camera_id, camera]));
  return { size: layout.size, cameras: layout.cameras.flatMap((id) => known.get(id) ?? []) };
}
