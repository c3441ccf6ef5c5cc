/** Asks for the server's token and sends it once. Only the browser's cookie stores it. */

import { useToken } from "./api.js";
import { byId, tell } from "./dom.js";
import { t } from "./i18n.js";

/** Remove a token from the page's URL: the cookie is set by now. */
export function hideFromAddress() {
  const url = new URL(location.href);
  if (!url.searchParams.has("token")) return;
  url.searchParams.delete("token");
  history.replaceState(history.state, "", url);
}

export class TokenForm {
  #dialog = /** @type {HTMLDialogElement} */ (byId("token"));
  #value = /** @type {HTMLInputElement} */ (byId("token-value"));
  #submit = /** @type {HTMLButtonElement} */ (byId("token-submit"));
  #problem = byId("token-problem");
  #onOpened;

  /** @param {() => void} onOpened  the token is valid */
  constructor(onOpened) {
    this.#onOpened = onOpened;
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(this.#value.value.trim());
    });
    byId("token-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => (this.#value.value = ""));
  }

  ask() {
    if (this.#dialog.open) return;
    this.#tell("");
    this.#dialog.showModal();
    this.#value.focus();
  }

  /** @param {string} token */
  async #try(token) {
    if (!token) return;
    this.#submit.disabled = true;
    const right = await useToken(token).catch(() => null);
    this.#submit.disabled = false;
    if (right) {
      this.#dialog.close();
      this.#onOpened();
      return;
    }
    this.#tell(t(right === null ? "token.unreachable" : "token.wrong"));
    this.#value.select();
  }

  /** @param {string} problem */
  #tell(problem) {
    tell(this.#problem, problem);
    this.#value.setAttribute("aria-invalid", String(problem !== ""));
  }
}
