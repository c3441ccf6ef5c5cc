/** A person's two-factor sign-in: setting it up, new recovery codes, turning it off. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import { useAction } from "../api/polling";
import { Button, copy, CopyIcon, Form, TextField } from "../parts";
import { t } from "../words/account";

const PATH = "api/account/two-factor";

interface Proposed {
  secret: string;
  otpauth_url: string;
}

type Stage = "off" | "proposed" | "on";

export function TwoFactor(): JSX.Element {
  const [enabled, setEnabled] = useState(false);
  const [left, setLeft] = useState(0);
  const [proposed, setProposed] = useState<Proposed | null>(null);
  const [codes, setCodes] = useState<string[]>([]);
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { busy, problem, run } = useAction();
  const stage: Stage = proposed ? "proposed" : enabled ? "on" : "off";

  const load = () =>
    run(async () => {
      const state = await call<{ enabled: boolean; recovery_codes_left: number }>(PATH);
      setEnabled(state.enabled);
      setLeft(state.recovery_codes_left);
    });
  useEffect(() => void load(), []);

  const propose = async () => setProposed(await call<Proposed>(PATH, { body: { password } }));
  const showCodes = async (path: "confirm" | "recovery-codes") => {
    const body = { one_time_code: code, ...(path !== "confirm" && { password }) };
    const { recovery_codes: made } = await call<{ recovery_codes: string[] }>(`${PATH}/${path}`, { body });
    setCodes(made);
    setLeft(made.length);
    setEnabled(true);
    setProposed(null);
  };
  const turnOff = async () => {
    await call(`${PATH}/remove`, { body: { password, one_time_code: code } });
    setEnabled(false);
    setCodes([]);
  };
  const submit = { off: propose, proposed: () => showCodes("confirm"), on: turnOff }[stage];
  const act = async (action: () => Promise<void>) => {
    const succeeded = await run(action);
    setCode("");
    if (succeeded) setPassword("");
  };

  return (
    <Form onSubmit={() => act(submit)}>
      <h3>{t("two_factor.title")}</h3>
      <p class="hint">{t(`two_factor.${stage}`, { n: left })}</p>
      {codes.length > 0 && <RecoveryCodes codes={codes} />}
      {proposed && <Secret proposed={proposed} />}
      {stage !== "proposed" && (
        <TextField label={t("account.current")} type="password" value={password} onInput={setPassword} required maxLength={256} autocomplete="current-password" problem={stage === "off" ? problem : undefined} />
      )}
      {stage !== "off" && (
        <TextField label={t("two_factor.code")} value={code} onInput={setCode} required maxLength={40} autocomplete="one-time-code" problem={problem} literal />
      )}
      <div class="account-links">
        <Button type="submit" busy={busy}>{t(`two_factor.${stage}_submit`)}</Button>
        {stage === "on" && <Button kind="quiet" onClick={() => act(() => showCodes("recovery-codes"))}>{t("two_factor.renew")}</Button>}
      </div>
    </Form>
  );
}

function RecoveryCodes({ codes }: { codes: string[] }): JSX.Element {
  const text = codes.join("\n");
  return (
    <div role="status">
      <p>{t("two_factor.codes")}</p>
      <pre class="code" role="region" aria-label={t("two_factor.codes_label")} tabIndex={0}>{text}</pre>
      <Button small icon={CopyIcon} onClick={() => copy(text)}>{t("two_factor.codes_label")}</Button>
    </div>
  );
}

function Secret({ proposed }: { proposed: Proposed }): JSX.Element {
  const groups = proposed.secret.match(/.{1,4}/g) ?? [];
  return (
    <div>
      <p>{t("two_factor.add")}</p>
      <p><code class="code">{groups.join(" ")}</code></p>
      <a href={proposed.otpauth_url}>{t("two_factor.open")}</a>
    </div>
  );
}
