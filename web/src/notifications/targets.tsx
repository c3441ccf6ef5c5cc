/** The targets: add, test, pause, change, remove. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useAction, usePolled } from "../api/polling";
import {
  AddIcon,
  Button,
  Card,
  Confirm,
  Dialog,
  Empty,
  NotificationsIcon,
  Problem,
  Spinner,
  StateMark,
  copy,
  toast,
} from "../parts";
import { number } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/notifications";
import {
  ROUTES,
  TARGETS,
  changeTarget,
  removeTarget,
  replaceSecret,
  sendEverything,
  testTarget,
  type Attempt,
  type Route,
  type Target,
} from "./api";
import { Phone } from "./phone";
import { TargetForm } from "./target_form";

const EVERY_MS = 10_000;

export function Targets(): JSX.Element {
  const { data: targets, problem, refresh } = usePolled<Target[]>(TARGETS, EVERY_MS);
  const { data: routes } = usePolled<Route[]>(ROUTES, EVERY_MS);
  const [adding, setAdding] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  if (!targets) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  const add = (
    <Button kind="primary" icon={AddIcon} onClick={() => setAdding(true)}>
      {t("add_target")}
    </Button>
  );
  return (
    <>
      <Phone targets={targets} />
      {problem && <Problem text={problem} onRetry={refresh} />}
      {targets.length === 0 ? (
        <Empty icon={NotificationsIcon} title={t("no_targets")} actions={add}>
          {t("no_targets_text")}
        </Empty>
      ) : (
        <Card title={t("tab.targets")} actions={add}>
          <ul class="notify-list">
            {targets.map((target) => (
              <TargetRow
                key={target.target_id}
                target={target}
                isReached={routes === undefined || routes.some((route) => route.targets.includes(target.target_id))}
                onSecret={setSecret}
              />
            ))}
          </ul>
        </Card>
      )}
      {adding && <TargetForm onClose={() => setAdding(false)} onSecret={setSecret} />}
      {secret !== null && <Secret secret={secret} onClose={() => setSecret(null)} />}
    </>
  );
}

interface TargetRowProps {
  target: Target;
  /** Whether a route leads to it. */
  isReached: boolean;
  onSecret: (secret: string | null) => void;
}

function TargetRow({ target, isReached, onSecret }: TargetRowProps): JSX.Element {
  const [open, setOpen] = useState<"edit" | "delete" | "rotate" | null>(null);
  const [attempt, setAttempt] = useState<Attempt | null>(null);
  const testing = useAction();
  const changing = useAction();
  const { target_id: id, enabled } = target;
  const close = () => {
    changing.clear();
    setOpen(null);
  };
  const test = () => {
    setAttempt(null);
    return testing.run(async () => setAttempt(await testTarget(id)));
  };
  const rotate = async () => {
    const done = await changing.run(async () => onSecret(await replaceSecret(id)));
    if (done) close();
  };
  const problem = testing.problem ?? (open === null ? changing.problem : undefined);
  return (
    <li>
      <div class="notify-what">
        <h3>{target.name}</h3>
        <p class="quiet-text">
          {t.or(`kind.${target.kind}`, target.kind)} · <span class="code">{whereTo(target)}</span>
        </p>
      </div>
      <StateMark state={target.error ? "bad" : enabled ? "good" : "idle"} label={t(target.error ? "broken" : enabled ? "active" : "paused")} />
      <div class="notify-buttons">
        <Button small busy={testing.busy} disabled={target.error !== null} onClick={test}>{t("test")}</Button>
        {target.kind !== "web_push" && <Button small onClick={() => setOpen("edit")}>{common("edit")}</Button>}
        {target.kind === "webhook" && !target.error && <Button small onClick={() => setOpen("rotate")}>{t("new_secret")}</Button>}
        <Button small onClick={() => changing.run(() => changeTarget(id, { enabled: !enabled }))}>
          {t(enabled ? "pause" : "resume")}
        </Button>
        <Button small onClick={() => setOpen("delete")}>{common("delete")}</Button>
      </div>
      {target.error && <p class="problem notify-note">{target.error}</p>}
      {problem && <p class="problem notify-note" role="alert">{problem}</p>}
      {attempt && <Answer attempt={attempt} />}
      {!isReached && <Unreached target={target} />}
      {open === "edit" && <TargetForm target={target} onClose={close} onSecret={onSecret} />}
      {open === "rotate" && (
        <Confirm title={t("new_secret")} confirm={t("new_secret")} busy={changing.busy} problem={changing.problem} onConfirm={rotate} onClose={close}>
          <p>{t("rotate_text")}</p>
        </Confirm>
      )}
      {open === "delete" && (
        <Confirm
          title={t("delete_target", { name: target.name })}
          confirm={common("delete")}
          danger
          busy={changing.busy}
          problem={changing.problem}
          onConfirm={() => changing.run(() => removeTarget(id))}
          onClose={close}
        >
          <p>{t("delete_target_text")}</p>
        </Confirm>
      )}
    </li>
  );
}

/** The part of the options that tells targets of a kind apart. */
function whereTo({ options }: Target): string {
  const found = options.url ?? options.endpoint ?? options.host;
  return typeof found === "string" ? found : "";
}

/** What the other side said to a test message. */
export function Answer({ attempt }: { attempt: Attempt }): JSX.Element {
  return (
    <div class={`notify-note notice${attempt.ok ? "" : " bad"}`} role="status">
      <span>
        <StateMark state={attempt.ok ? "good" : "bad"} label={t(attempt.ok ? "accepted" : "refused")} />{" "}
        <span class="code">{attempt.answer}</span>
      </span>
      <span class="quiet-text">{t("seconds", { seconds: number(attempt.seconds, attempt.seconds < 1 ? 2 : 1) })}</span>
    </div>
  );
}

function Unreached({ target }: { target: Target }): JSX.Element {
  const { busy, problem, run } = useAction();
  return (
    <div class="notify-note notice warn">
      <span>{problem ?? t("unreached")}</span>
      <Button small busy={busy} onClick={() => run(() => sendEverything(target))}>{t("send_everything")}</Button>
    </div>
  );
}

/** The key of a webhook's signatures, which the server shows this once. */
function Secret({ secret, onClose }: { secret: string; onClose: () => void }): JSX.Element {
  return (
    <Dialog
      title={t("secret")}
      onClose={onClose}
      actions={
        <>
          <Button onClick={() => copy(secret)}>{common("copy")}</Button>
          <Button
            kind="primary"
            onClick={() => {
              toast(common("saved"));
              onClose();
            }}
          >
            {t("secret_kept")}
          </Button>
        </>
      }
    >
      <p>{t("secret_text")}</p>
      <p class="code notify-secret">{secret}</p>
    </Dialog>
  );
}
