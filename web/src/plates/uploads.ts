/** Photos that are being read: one after the other, in their order, also while another tab is shown. */

import { Refused, call, problemOf } from "../api/client";
import { refresh } from "../api/polling";
import { createStore } from "../store";
import { PLATES, type Plate, type Uploaded } from "./api";

export type UploadState = "waiting" | "reading" | "done" | "failed";

export interface Upload {
  id: number;
  name: string;
  state: UploadState;
  plates: Plate[];
  /** The session of the photo, once it was read. */
  session: number | null;
  /** Why it failed, in words. */
  problem: string;
}

export const uploads = createStore<readonly Upload[]>([]);

/** A large photo over a phone's connection, and its reading. */
const PATIENCE_MS = 180_000;
const files = new Map<number, File>();
let lastId = 0;
let busy = false;

export function add(given: Iterable<File>): void {
  const added = [...given].map((file): Upload => {
    const id = ++lastId;
    files.set(id, file);
    return { id, name: file.name, state: "waiting", plates: [], session: null, problem: "" };
  });
  uploads.set([...uploads.get(), ...added]);
  void work();
}

export function retry(id: number): void {
  change(id, { state: "waiting", problem: "" });
  void work();
}

/** Forget what is finished. */
export function clear(): void {
  const kept = uploads.get().filter(({ state }) => state === "waiting" || state === "reading");
  for (const { id } of uploads.get()) if (!kept.some((one) => one.id === id)) files.delete(id);
  uploads.set(kept);
}

export function changePlateOf(id: number, plate: Plate): void {
  const known = uploads.get().find((one) => one.id === id)?.plates ?? [];
  change(id, { plates: known.map((one) => (one.id === plate.id ? plate : one)) });
}

async function work(): Promise<void> {
  if (busy) return;
  busy = true;
  try {
    for (let next = waiting(); next; next = waiting()) await read(next);
  } finally {
    busy = false;
  }
}

const waiting = () => uploads.get().find(({ state }) => state === "waiting");

async function read({ id }: Upload): Promise<void> {
  const file = files.get(id);
  if (!file) return change(id, { state: "failed" });
  change(id, { state: "reading" });
  const body = new FormData();
  body.append("file", file, file.name);
  try {
    const { plates, session_id: session } = await call<Uploaded>("api/upload", { body, patienceMs: PATIENCE_MS });
    files.delete(id);
    change(id, { state: "done", plates, session });
    refresh(PLATES);
  } catch (error) {
    if (error instanceof Refused && error.status === 400) files.delete(id); // it stays what it is
    change(id, { state: "failed", problem: problemOf(error) });
  }
}

export const canRetry = (id: number): boolean => files.has(id);

function change(id: number, changes: Partial<Upload>): void {
  uploads.set(uploads.get().map((one) => (one.id === id ? { ...one, ...changes } : one)));
}
