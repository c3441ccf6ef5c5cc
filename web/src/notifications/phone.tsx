/** This device: whether it is told of events, and the button that changes that. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAction } from "../api/polling";
import { Button, Card, Form, StateMark, Switch, TextField } from "../parts";
import { t } from "../words/notifications";
import { removeTarget, sendEverything, testTarget, type Attempt, type Target } from "./api";
import { deviceName, obstacle, subscribe, subscribedTarget, unsubscribe, type Obstacle } from "./subscription";
import { Answer } from "./targets";

export function Phone({ targets }: { targets: Target[] }): JSX.Element | null {
  const [mine, setMine] = useState<number | null | undefined>(undefined);
  const [hindered, setHindered] = useState<Obstacle | null>(obstacle());
  useEffect(() => {
    void subscribedTarget().then(setMine);
  }, []);
  const target = targets.find((one) => one.target_id === mine);
  if (mine === undefined && hindered === null) return null;
  return (
    <Card title={t("phone")} class="phone">
      {hindered !== null && !target ? (
        <p class="quiet-text">{t(`obstacle.${hindered}`)}</p>
      ) : target ? (
        <Subscribed target={target} onEnd={() => setMine(null)} />
      ) : (
        <Unsubscribed
          onDone={setMine}
          onRefused={() => setHindered(obstacle())}
        />
      )}
    </Card>
  );
}

function Unsubscribed({ onDone, onRefused }: { onDone: (id: number) => void; onRefused: () => void }): JSX.Element {
  const [name, setName] = useState(deviceName());
  const [all, setAll] = useState(true);
  const { busy, problem, run } = useAction();
  const [failure, setFailure] = useState("");
  const begin = () =>
    run(async () => {
      setFailure("");
      try {
        const target = await subscribe(name);
        if (all) await sendEverything(target);
        onDone(target.target_id);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        setFailure(error.message); // of the browser, or of its push service
        onRefused();
      }
    });
  return (
    <Form onSubmit={begin}>
      <p class="quiet-text">{t("phone_text")}</p>
      <div class="phone-row">
        <TextField label={t("device_name")} value={name} onInput={setName} required maxLength={100} />
        <Switch label={t("all_events_here")} hint={t("all_events_here_hint")} checked={all} onChange={setAll} />
        <Button type="submit" kind="primary" busy={busy}>{t("subscribe")}</Button>
      </div>
      {failure && <p class="problem" role="alert">{t("push_failed", { reason: failure })}</p>}
      {problem && <p class="problem" role="alert">{problem}</p>}
    </Form>
  );
}

function Subscribed({ target, onEnd }: { target: Target; onEnd: () => void }): JSX.Element {
  const { busy, problem, run } = useAction();
  const testing = useAction();
  const [attempt, setAttempt] = useState<Attempt | null>(null);
  const end = () =>
    run(async () => {
      await unsubscribe();
      await removeTarget(target.target_id);
      onEnd();
    });
  return (
    <>
      <div class="phone-row">
        <StateMark state={target.enabled ? "good" : "idle"} label={t(target.enabled ? "subscribed" : "paused")} />
        <span>{target.name}</span>
        <Button small busy={testing.busy} onClick={() => testing.run(async () => setAttempt(await testTarget(target.target_id)))}>
          {t("test")}
        </Button>
        <Button small busy={busy} onClick={end}>{t("unsubscribe")}</Button>
      </div>
      {attempt && <Answer attempt={attempt} />}
      {(problem ?? testing.problem) && <p class="problem" role="alert">{problem ?? testing.problem}</p>}
    </>
  );
}
