/** Who the person is, and what they may do. */

import { createStore, useStore } from "../store";
import { call, locked, Refused } from "./client";

export type Right =
  | "view"
  | "control"
  | "jobs"
  | "plates"
  | "export"
  | "clear_view"
  | "monitor"
  | "administer";

export interface SignInOptions {
  signed_in: boolean;
  users: boolean;
  /** How the first user can be made: without, or with the code from the log. */
  setup: "open" | "code" | null;
  provider: string | null;
  problem: string | null;
}

export interface Account {
  caller: string;
  /** Null for a token, and for this machine. */
  name: string | null;
  has_password: boolean;
  /** The cameras that each right covers; `["*"]`: all. */
  rights: Partial<Record<Right, string[]>>;
}

export type Session =
  | { kind: "loading" | "unreachable" }
  | { kind: "locked"; options: SignInOptions }
  | { kind: "open"; options: SignInOptions; account: Account };

export const session = createStore<Session>({ kind: "loading" });

/** Ask the server who the person is. */
export async function loadSession(): Promise<void> {
  try {
    const options = await call<SignInOptions>(`api/sign-in${failedSignIn()}`);
    if (!options.signed_in) {
      session.set({ kind: "locked", options });
      return;
    }
    const account = await call<Account>("api/account");
    locked.set(false);
    session.set({ kind: "open", options, account });
  } catch (error) {
    // Only a server that does not answer at all: what it refuses is no reason to hide everything.
    if (!(error instanceof Refused) && session.get().kind === "loading") session.set({ kind: "unreachable" });
  }
}

// A session that has ended shows when any call is refused.
locked.subscribe(() => {
  if (locked.get() && session.get().kind === "open") void loadSession();
});

/** The query that asks why a sign-in elsewhere failed; the address forgets it. */
function failedSignIn(): string {
  const page = new URL(location.href);
  const problem = page.searchParams.get("problem");
  if (problem === null) return "";
  page.searchParams.delete("problem");
  history.replaceState(null, "", page);
  return `?problem=${encodeURIComponent(problem.slice(0, 40))}`;
}

/** Whether an account has a right: for a camera, for all cameras (`"*"`), or for any at all. */
export function allows(account: Account, right: Right, camera?: string): boolean {
  const covered = account.rights[right] ?? [];
  if (camera === undefined) return covered.length > 0;
  return covered.includes("*") || covered.includes(camera);
}

/** The function that says what the person may do; nothing until they are known. */
export function useRights(): (right: Right, camera?: string) => boolean {
  const current = useStore(session);
  return (right, camera) => current.kind === "open" && allows(current.account, right, camera);
}
