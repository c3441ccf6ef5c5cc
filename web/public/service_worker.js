/**
 * Shows what the server tells this device, also while the page is closed. It caches nothing.
 */

const PAGE = new URL("./", self.registration.scope);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const message = event.data?.json() ?? {};
  event.waitUntil(show(message));
});

/** Browsers demand a notification for each message; a repeat replaces the one with its tag. */
function show({ title = "Watchpost", body = "", tag, ts, language, snapshot, event_id: eventId }) {
  return self.registration.showNotification(title, {
    body,
    tag,
    lang: language,
    timestamp: ts ? ts * 1000 : undefined,
    icon: new URL("static/app/icon-192.png", PAGE).href,
    badge: new URL("static/app/badge-96.png", PAGE).href,
    image: snapshot ? new URL(snapshot.replace(/^\//, ""), PAGE).href : undefined,
    data: { place: eventId ? `#/events/${eventId}` : "#/events" },
  });
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.place));
});

/** The event in the page that is open, or in a new one. */
async function open(place) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find(({ url }) => url.split(/[?#]/)[0] === PAGE.href);
  if (!page) return self.clients.openWindow(new URL(place, PAGE).href);
  page.postMessage({ open: place });
  return page.focus();
}
