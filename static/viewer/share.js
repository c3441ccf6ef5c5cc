/** The URLs of a stream for sharing, each with a button to copy it. */

import { at } from "./api.js";
import { copy, make } from "./dom.js";
import { t } from "./i18n.js";

const HERE = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * Fill an element with a stream's URLs.
 *
 * @param {HTMLElement} box
 * @param {string} streamId
 */
export function showAddresses(box, streamId) {
  const page = at("viewer");
  page.hash = encodeURIComponent(streamId);
  const video = at(`stream/video/${encodeURIComponent(streamId)}`);
  box.replaceChildren(
    address(`${box.id}-page`, t("share.page"), page.href),
    address(`${box.id}-video`, t("share.video"), video.href),
    make("p", { className: "quiet" }, notes().join(" ")),
  );
}

function notes() {
  const { hostname } = location;
  return HERE.test(hostname)
    ? [t("share.localhost", { host: hostname }), t("share.token")]
    : [t("share.token")];
}

/** @param {string} id @param {string} label @param {string} url */
function address(id, label, url) {
  const field = make("input", { id, value: url, readOnly: true, type: "text" });
  const button = make("button", { type: "button" }, t("copy"));
  button.setAttribute("aria-describedby", `${id}-label`);
  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", () => copy(url, button));
  return make(
    "div",
    { className: "address" },
    make("label", { htmlFor: id, id: `${id}-label` }, label),
    make("div", { className: "field" }, field, button),
  );
}
