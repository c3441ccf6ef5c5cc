/** Videos of this server: why one cannot be played, which a `<video>` does not say. */

import { language } from "../words";
import { at, Refused } from "./client";

/** The refusal of a video, or null if the server would send it; throws when it cannot be reached. */
export async function refusalOf(path: string, signal?: AbortSignal): Promise<Refused | null> {
  const headers = { Range: "bytes=0-0", "Accept-Language": language.get() };
  const reply = await fetch(at(path), { headers, cache: "no-store", signal });
  if (reply.ok) return null;
  return new Refused(reply.status, (await reply.json().catch(() => ({}))) as object);
}
