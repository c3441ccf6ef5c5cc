/** A person's two-factor sign-in: setting it up, new recovery codes, turning it off. */

import { attempt, call } from "./api.js";
import { announce, byId, copy, tell, write } from "./dom.js";
import { t } from "./i18n.js";

const PATH = "api/account/two-factor";

/** @typedef {"off" | "proposed" | "on"} Stage */

export class TwoFactor {
  /** @type {Stage} */
  #stage = "off";
  #left = 0;
  #password = /** @type {HTMLInputElement} */ (byId("two-factor-password"));
  #code = /** @type {HTMLInputElement} */ (byId("two-factor-code"));
  #problem = byId("two-factor-problem");
  #codes = byId("two-factor-codes");

  constructor() {
    byId("two-factor-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = /** @type {HTMLButtonElement} */ (byId("two-factor-submit"));
      button.disabled = true;
      await this.#submit();
      button.disabled = false;
    });
    byId("two-factor-renew").addEventListener("click", () => this.#showCodes("recovery-codes"));
    byId("two-factor-copy").addEventListener("click", () => {
      const button = /** @type {HTMLButtonElement} */ (byId("two-factor-copy"));
      copy(this.#codes.textContent ?? "", button);
    });
  }

  /** Ask the server how the person signs in. */
  async load() {
    this.forget();
    await attempt(async () => {
      const { enabled, recovery_codes_left: left } = await call(PATH);
      this.#stage = enabled ? "on" : "off";
      this.#left = left;
    });
    this.render();
  }

  /** Forget what was typed, and what is shown only once. */
  forget() {
    if (this.#stage === "proposed") this.#stage = "off";
    this.#password.value = this.#code.value = "";
    tell(this.#problem, "");
    write(byId("two-factor-key"), "");
    byId("two-factor-link").removeAttribute("href");
    tell(this.#codes, "");
    byId("two-factor-new").hidden = true;
  }

  render() {
    const [off, proposed, on] = ["off", "proposed", "on"].map((stage) => stage === this.#stage);
    write(byId("two-factor-state"), t(`two_factor.${this.#stage}`, { n: this.#left }));
    byId("two-factor-secret").hidden = !proposed;
    byId("two-factor-password-field").hidden = proposed;
    byId("two-factor-code-field").hidden = off;
    this.#password.required = !proposed;
    this.#code.required = !off;
    byId("two-factor-renew").hidden = !on;
    write(byId("two-factor-submit"), t(`two_factor.${this.#stage}_submit`));
  }

  async #submit() {
    if (this.#stage === "off") await this.#propose();
    else if (this.#stage === "proposed") await this.#showCodes("confirm");
    else await this.#turnOff();
  }

  async #propose() {
    const problem = await attempt(async () => {
      const made = await call(PATH, { password: this.#password.value });
      write(byId("two-factor-key"), made.secret.match(/.{1,4}/g).join(" "));
      byId("two-factor-link").setAttribute("href", made.otpauth_url);
      this.#stage = "proposed";
    });
    this.#done(problem);
    if (!problem) this.#code.focus();
  }

  /** @param {"confirm" | "recovery-codes"} call_ */
  async #showCodes(call_) {
    const password = call_ === "confirm" ? {} : { password: this.#password.value };
    /** @type {string[]} */
    let codes = [];
    const problem = await attempt(async () => {
      const body = { ...password, one_time_code: this.#code.value };
      codes = (await call(`${PATH}/${call_}`, body)).recovery_codes;
    });
    if (problem) {
      this.#done(problem);
      return;
    }
    this.#stage = "on";
    this.forget();
    this.#left = codes.length;
    tell(this.#codes, codes.join("\n"));
    byId("two-factor-new").hidden = false;
    announce(t("two_factor.codes"));
    this.render();
  }

  async #turnOff() {
    const body = { password: this.#password.value, one_time_code: this.#code.value };
    const problem = await attempt(() => call(`${PATH}/remove`, body));
    if (!problem) this.#stage = "off";
    this.#done(problem);
  }

  /** @param {string} problem  empty if the call has succeeded */
  #done(problem) {
    tell(this.#problem, problem);
    this.#code.value = "";
    if (!problem) this.#password.value = "";
    this.render();
  }
}
