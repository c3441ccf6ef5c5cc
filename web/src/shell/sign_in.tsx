/** The sign-in: by name and password, by an identity provider, with the token, or as the first user. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { at, call, Refused, useToken } from "../api/client";
import { useAction } from "../api/polling";
import { loadSession, type SignInOptions } from "../api/session";
import { Button, Form, Segments, TextField } from "../parts";
import { LANGUAGES, chooseLanguage, language, type Language } from "../words";
import { t } from "../words/account";
import { t as shell } from "../words/shell";

export const SHORTEST_PASSWORD = 10;

export function SignIn({ options }: { options: SignInOptions }): JSX.Element {
  const named = options.users || options.provider !== null;
  const [way, setWay] = useState<"name" | "token" | "setup">(named ? "name" : "token");
  return (
    <div class="sign-in">
      <p class="brand">
        <img src="static/app/icon.svg" alt="" width="32" height="32" />
        <span>Watchpost</span>
      </p>
      {options.problem && <p class="problem" role="alert">{options.problem}</p>}
      {way === "name" && <NameForm provider={options.provider} password={options.users} />}
      {way === "token" && <TokenForm />}
      {way === "setup" && <SetupForm code onDone={loadSession} />}
      <div class="sign-in-ways">
        {named && way !== "name" && <Button kind="quiet" onClick={() => setWay("name")}>{t("account.sign_in")}</Button>}
        {way !== "token" && <Button kind="quiet" onClick={() => setWay("token")}>{t("account.token")}</Button>}
        {options.setup && way !== "setup" && (
          <Button kind="quiet" onClick={() => setWay("setup")}>{t("account.first")}</Button>
        )}
      </div>
      <LanguageChoice />
    </div>
  );
}

export function LanguageChoice(): JSX.Element {
  const options = Object.entries(LANGUAGES).map(([value, label]) => ({ value: value as Language, label }));
  return <Segments label={shell("language")} value={language.get()} options={options} onChange={chooseLanguage} />;
}

function NameForm({ provider, password: withPassword }: { provider: string | null; password: boolean }): JSX.Element {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [needsCode, setNeedsCode] = useState(false);
  const { busy, problem, run } = useAction();
  const submit = () =>
    run(async () => {
      const second = needsCode ? { one_time_code: code } : {};
      try {
        await call("api/sign-in", { body: { name: name.trim(), password, ...second } });
      } catch (error) {
        if (!(error instanceof Refused) || error.code !== "CODE_NEEDED") throw error;
        setNeedsCode(true);
        return;
      }
      await loadSession();
    });
  return (
    <Form onSubmit={submit}>
      <h1>{t("account.sign_in")}</h1>
      {provider && (
        <Button onClick={() => location.assign(at("api/sign-in/oidc?page=control-room"))}>
          {t("account.with", { name: provider })}
        </Button>
      )}
      {withPassword && (
        <>
          <TextField label={t("account.name")} value={name} onInput={setName} required maxLength={64} autocomplete="username" literal />
          <TextField
            label={t("account.password")}
            type="password"
            value={password}
            onInput={setPassword}
            required
            maxLength={256}
            autocomplete="current-password"
            problem={needsCode ? undefined : problem}
          />
          {needsCode && (
            <TextField
              label={t("two_factor.code")}
              value={code}
              onInput={setCode}
              required
              maxLength={40}
              autocomplete="one-time-code"
              problem={problem}
              autoFocus
              literal
            />
          )}
          <Button type="submit" kind="primary" busy={busy}>{t("account.sign_in")}</Button>
        </>
      )}
    </Form>
  );
}

function TokenForm(): JSX.Element {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState(false);
  const { busy, problem, run } = useAction();
  const submit = () =>
    run(async () => {
      const right = await useToken(token.trim());
      setWrong(!right);
      if (right) await loadSession();
    });
  return (
    <Form onSubmit={submit}>
      <h1>{t("token.title")}</h1>
      <p class="hint">{t("token.text")}</p>
      <input type="text" autocomplete="username" value="watchpost" hidden readOnly />
      <TextField
        label={t("token.label")}
        type="password"
        value={token}
        onInput={setToken}
        required
        autocomplete="current-password"
        problem={wrong ? t("token.wrong") : problem}
        literal
      />
      <Button type="submit" kind="primary" busy={busy}>{t("token.submit")}</Button>
    </Form>
  );
}

/** Makes the first user, an administrator; from other machines with the code from the log. */
export function SetupForm({ code: needsCode, onDone }: { code: boolean; onDone: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { busy, problem, run } = useAction();
  const submit = async () => {
    const body = { name: name.trim(), password, ...(needsCode && { code: code.trim() }) };
    if (await run(() => call("api/setup", { body }))) onDone();
  };
  return (
    <Form onSubmit={submit}>
      <h1>{t("account.first")}</h1>
      <p class="hint">{t(needsCode ? "account.setup_code" : "account.setup_open")}</p>
      <TextField label={t("account.name")} value={name} onInput={setName} required maxLength={64} autocomplete="username" literal />
      <TextField
        label={t("account.password")}
        type="password"
        value={password}
        onInput={setPassword}
        required
        minLength={SHORTEST_PASSWORD}
        maxLength={256}
        autocomplete="new-password"
        hint={t("account.short", { n: SHORTEST_PASSWORD })}
        problem={problem}
      />
      {needsCode && (
        <TextField label={t("account.code")} value={code} onInput={setCode} required maxLength={100} autocomplete="off" literal />
      )}
      <Button type="submit" kind="primary" busy={busy}>{t("account.first")}</Button>
    </Form>
  );
}
