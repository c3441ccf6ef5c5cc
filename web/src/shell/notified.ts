/** A notification of the system was clicked while the page is open: show what it is about. */

import { go } from "./router";

navigator.serviceWorker?.addEventListener("message", ({ data }: MessageEvent<{ open?: unknown }>) => {
  if (typeof data?.open === "string" && data.open.startsWith("#/")) go(data.open);
});
navigator.serviceWorker?.startMessages();
