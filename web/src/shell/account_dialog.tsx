/** The person's own account, and how the page looks. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/client";
import { forgetHidden, refresh, useAction, usePolled } from "../api/polling";
import { loadSession, session, type Account, type SignInOptions } from "../api/session";
import { Button, ButtonLink, Dialog, Form, Segments, TextField, toast } from "../parts";
import { useStore } from "../store";
import { dateTime } from "../words";
import { t } from "../words/account";
import { t as shell } from "../words/shell";
import { LanguageChoice, SetupForm, SHORTEST_PASSWORD } from "./sign_in";
import { THEMES, chooseTheme, theme } from "./theme";
import { TwoFactor } from "./two_factor";

interface SignInRow {
  session_id: number;
  current: boolean;
  seen_ts: number;
  address: string;
  agent: string;
}

export function AccountDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const current = useStore(session);
  const [settingUp, setSettingUp] = useState(false);
  if (current.kind !== "open") return <></>;
  const { account, options } = current;
  return (
    <Dialog title={account.name ?? shell("account")} onClose={onClose}>
      <div class="account">
        <section>
          <h3>{shell("language")}</h3>
          <LanguageChoice />
        </section>
        <Appearance />
        {account.name === null && <Nameless options={options} onSetUp={() => setSettingUp(true)} />}
        {settingUp && options.setup && (
          <SetupForm
            code={options.setup === "code"}
            onDone={() => {
              setSettingUp(false);
              void loadSession();
            }}
          />
        )}
        {account.name !== null && <Own account={account} />}
        <section class="account-links">
          <ButtonLink kind="quiet" href="viewer">{shell("viewer")}</ButtonLink>
          <ButtonLink kind="quiet" href="docs">{shell("api")}</ButtonLink>
        </section>
      </div>
    </Dialog>
  );
}

function Appearance(): JSX.Element {
  const chosen = useStore(theme);
  const options = THEMES.map((value) => ({ value, label: shell(`theme.${value}`) }));
  return (
    <section>
      <h3>{shell("theme")}</h3>
      <Segments label={shell("theme")} value={chosen} options={options} onChange={chooseTheme} />
    </section>
  );
}

/** A caller without a name: this machine, or one with a token. */
function Nameless({ options, onSetUp }: { options: SignInOptions; onSetUp: () => void }): JSX.Element {
  const named = options.users || options.provider !== null;
  const signIn = () => session.set({ kind: "locked", options });
  return (
    <section>
      <p class="hint">{shell("nameless")}</p>
      <div class="account-links">
        {named && <Button onClick={signIn}>{t("account.sign_in")}</Button>}
        {options.setup && <Button onClick={onSetUp}>{t("account.first")}</Button>}
        <SignOut quiet />
      </div>
    </section>
  );
}

function Own({ account }: { account: Account }): JSX.Element {
  return (
    <>
      <SignIns />
      {account.has_password && <Password />}
      {account.has_password && <TwoFactor />}
      <SignOut />
    </>
  );
}

function SignIns(): JSX.Element {
  const { data: rows = [] } = usePolled<SignInRow[]>("api/account/sign-ins", Infinity);
  const { run } = useAction();
  const end = async (id: number) => {
    await run(() => call(`api/account/sign-ins/${id}`, { method: "DELETE" }));
    refresh("api/account/sign-ins");
  };
  return (
    <section>
      <h3>{t("account.sign_ins")}</h3>
      <ul class="rows">
        {rows.map((row) => (
          <li key={row.session_id}>
            <span title={row.agent}>
              {row.address} · {dateTime(row.seen_ts)}
            </span>
            {row.current ? <span class="hint">{t("account.here")}</span> : <Button small onClick={() => end(row.session_id)}>{t("account.end")}</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Password(): JSX.Element {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const { busy, problem, run } = useAction();
  const submit = async () => {
    const body = { current, new: next };
    if (!(await run(() => call("api/account/password", { method: "PUT", body })))) return;
    setCurrent("");
    setNext("");
    toast(t("account.changed"));
    refresh("api/account/sign-ins");
  };
  return (
    <Form onSubmit={submit}>
      <h3>{t("account.change")}</h3>
      <TextField label={t("account.current")} type="password" value={current} onInput={setCurrent} required maxLength={256} autocomplete="current-password" />
      <TextField
        label={t("account.new")}
        type="password"
        value={next}
        onInput={setNext}
        required
        minLength={SHORTEST_PASSWORD}
        maxLength={256}
        autocomplete="new-password"
        problem={problem}
      />
      <Button type="submit" busy={busy}>{t("account.change")}</Button>
    </Form>
  );
}

/** Ends the session, or forgets the token. `quiet`: this machine needs neither. */
function SignOut({ quiet }: { quiet?: boolean }): JSX.Element {
  const { busy, problem, run } = useAction();
  const signOut = () =>
    run(async () => {
      const { continue_at: next } = await call<{ continue_at: string | null }>("api/sign-out", { body: {} });
      forgetHidden();
      if (next) location.assign(next); // the session at the identity provider ends, too
      else await loadSession();
    });
  return (
    <>
      {problem && <p class="problem" role="alert">{problem}</p>}
      <Button kind={quiet ? "quiet" : "primary"} busy={busy} onClick={signOut}>{t("account.sign_out")}</Button>
    </>
  );
}
