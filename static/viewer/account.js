/** Signing in and out, the first user, and a person's own account. */

import { at, attempt, call } from "./api.js";
import { announce, byId, make, tell, write } from "./dom.js";
import { onChange, t } from "./i18n.js";
import { TwoFactor } from "./two_factor.js";

/**
 * @typedef {{signed_in: boolean, users: boolean, setup: "open" | "code" | null,
 *   provider: string | null, problem: string | null}} Options
 * @typedef {{session_id: number, current: boolean, seen_ts: number, address: string, agent: string}} SignIn
 */

const SHORTEST = 10;

export class Account {
  #dialog = /** @type {HTMLDialogElement} */ (byId("account"));
  #open = /** @type {HTMLButtonElement} */ (byId("account-open"));
  #name = /** @type {HTMLInputElement} */ (byId("account-name"));
  #password = /** @type {HTMLInputElement} */ (byId("account-password"));
  #code = /** @type {HTMLInputElement} */ (byId("account-code"));
  #oneTimeCode = /** @type {HTMLInputElement} */ (byId("account-one-time-code"));
  #needsCode = false;
  #twoFactor = new TwoFactor();
  #problem = byId("account-problem");
  /** @type {Options} */
  #options = { signed_in: false, users: false, setup: null, provider: null, problem: null };
  /** @type {string | null}  the signed-in user's name */
  #user = null;
  #hasPassword = false;
  /** @type {SignIn[]} */
  #signIns = [];
  #onChanged;

  /**
   * @param {() => void} onChanged  somebody has signed in or out
   * @param {() => void} onToken  the person has a token instead of a name
   */
  constructor(onChanged, onToken) {
    this.#onChanged = onChanged;
    this.#open.addEventListener("click", () => this.ask());
    byId("account-cancel").addEventListener("click", () => this.#dialog.close());
    byId("account-close").addEventListener("click", () => this.#dialog.close());
    byId("account-token").addEventListener("click", () => {
      this.#dialog.close();
      onToken();
    });
    byId("account-provider").addEventListener("click", () => {
      location.assign(at("api/sign-in/oidc"));
    });
    byId("account-sign-out").addEventListener("click", () => this.#signOut());
    this.#onSubmit("account-form", () => this.#signIn());
    this.#onSubmit("password-form", () => this.#changePassword());
    this.#dialog.addEventListener("close", () => this.#forget());
    onChange(() => this.#render());
  }

  /** Whether people sign in here with names. */
  get hasUsers() {
    return this.#options.users || this.#options.provider !== null;
  }

  /** Ask the server who the person is. */
  async load() {
    try {
      this.#options = await call(`api/sign-in${failedSignIn()}`);
      const account = this.#options.signed_in ? await call("api/account") : null;
      this.#user = account?.name ?? null;
      this.#hasPassword = account?.has_password ?? false;
    } catch {
      return; // the list of streams says that the server does not answer
    }
    this.#render();
    if (this.#options.problem) this.ask(this.#options.problem);
  }

  /** @param {string} [problem]  why the last attempt failed */
  async ask(problem = "") {
    if (problem || !this.#dialog.open) tell(this.#problem, problem);
    if (this.#dialog.open) return;
    tell(byId("password-problem"), "");
    this.#needsCode = false;
    if (this.#user !== null) await this.#loadSignIns();
    if (this.#hasPassword) await this.#twoFactor.load();
    this.#render();
    this.#dialog.showModal();
    if (this.#user === null) this.#name.focus();
  }

  /** @param {string} form @param {() => Promise<void>} action */
  #onSubmit(form, action) {
    byId(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = /** @type {HTMLButtonElement} */ (byId(form).querySelector("[type=submit]"));
      button.disabled = true;
      await action();
      button.disabled = false;
    });
  }

  async #signIn() {
    const { setup } = this.#options;
    const body = { name: this.#name.value.trim(), password: this.#password.value };
    const code = setup === "code" ? { code: this.#code.value.trim() } : {};
    const second = this.#needsCode ? { one_time_code: this.#oneTimeCode.value } : {};
    if (setup && body.password.length < SHORTEST) {
      tell(this.#problem, t("account.short", { n: SHORTEST }));
      return;
    }
    const path = setup ? "api/setup" : "api/sign-in";
    let refusal = "";
    const sent = await attempt(
      () => call(path, { ...body, ...code, ...second }),
      (code) => { refusal = code; },
    );
    if (refusal === "CODE_NEEDED") this.#askCode();
    else tell(this.#problem, sent);
    if (sent) {
      const input = this.#needsCode ? this.#oneTimeCode : this.#password;
      input.focus();
      input.select();
      return;
    }
    this.#dialog.close();
    await this.load();
    this.#onChanged();
  }

  /** The password is right; the person needs a second factor, too. */
  #askCode() {
    this.#needsCode = true;
    tell(this.#problem, "");
    this.#render();
  }

  async #signOut() {
    /** @type {string | null | undefined}  where the session at the provider ends, too */
    let next;
    const problem = await attempt(async () => {
      next = (await call("api/sign-out", {})).continue_at;
    });
    tell(byId("password-problem"), problem);
    if (problem) return;
    if (next) {
      location.assign(next);
      return;
    }
    this.#user = null;
    this.#dialog.close();
    await this.load();
    this.#onChanged();
  }

  async #changePassword() {
    const current = /** @type {HTMLInputElement} */ (byId("password-current"));
    const next = /** @type {HTMLInputElement} */ (byId("password-new"));
    const body = { current: current.value, new: next.value };
    const problem = await attempt(() => call("api/account/password", body, "PUT"));
    tell(byId("password-problem"), problem);
    if (problem) return;
    current.value = next.value = "";
    tell(byId("password-problem"), t("account.changed"));
    announce(t("account.changed"));
    await this.#loadSignIns();
    this.#render();
  }

  async #loadSignIns() {
    try {
      this.#signIns = await call("api/account/sign-ins");
    } catch {
      this.#signIns = [];
    }
  }

  /** @param {number} id */
  async #end(id) {
    await attempt(() => call(`api/account/sign-ins/${id}`, undefined, "DELETE"));
    await this.#loadSignIns();
    this.#render();
  }

  #forget() {
    const ids = [
      ...["account-password", "account-code", "account-one-time-code"],
      ...["password-current", "password-new"],
    ];
    for (const id of ids) /** @type {HTMLInputElement} */ (byId(id)).value = "";
    this.#twoFactor.forget();
  }

  #render() {
    const { users, setup, provider } = this.#options;
    const known = this.#user !== null;
    this.#open.hidden = !known && !users && !setup && !provider;
    byId("account-provider").hidden = !provider;
    write(byId("account-provider"), t("account.with", { name: provider ?? "" }));
    byId("password-form").hidden = byId("two-factor").hidden = !this.#hasPassword;
    this.#twoFactor.render();
    byId("account-one-time-code-field").hidden = !this.#needsCode;
    this.#oneTimeCode.required = this.#needsCode;
    write(this.#open, this.#user ?? t(setup ? "account.first" : "account.sign_in"));
    byId("account-form").hidden = known;
    byId("account-own").hidden = !known;
    write(byId("account-title"), t(setup ? "account.first" : "account.sign_in"));
    write(byId("account-who"), this.#user ?? "");
    this.#dialog.setAttribute("aria-labelledby", known ? "account-who" : "account-title");
    tell(byId("account-text"), setup ? t(`account.setup_${setup}`) : "");
    byId("account-code-field").hidden = setup !== "code";
    this.#code.required = setup === "code";
    this.#password.autocomplete = setup ? "new-password" : "current-password";
    byId("account-sign-ins").replaceChildren(...this.#signIns.map((one) => this.#row(one)));
  }

  /** @param {SignIn} signIn */
  #row({ session_id: id, current, seen_ts: seen, address, agent }) {
    const when = new Date(seen * 1000).toLocaleString(document.documentElement.lang);
    const what = make("span", {}, `${address} · ${when}`);
    what.title = agent;
    if (current) return make("li", {}, what, make("span", { className: "quiet" }, t("account.here")));
    const end = make("button", { type: "button" }, t("account.end"));
    end.addEventListener("click", () => this.#end(id));
    return make("li", {}, what, end);
  }
}

/** The query that asks why a sign-in elsewhere failed; the address forgets it. */
function failedSignIn() {
  const page = new URL(location.href);
  const problem = page.searchParams.get("problem");
  if (problem === null) return "";
  page.searchParams.delete("problem");
  history.replaceState(null, "", page);
  return `?problem=${encodeURIComponent(problem.slice(0, 40))}`;
}
