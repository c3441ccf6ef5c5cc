/** The deliveries: what waits, what was sent, and what is dead and why. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { call, withQuery } from "../api/client";
import { refresh as refreshAll, useAction, usePolled } from "../api/polling";
import { Button, Card, Empty, Problem, Segments, SelectField, Spinner, StateMark, toast, type Tone } from "../parts";
import { go, link } from "../shell/router";
import { dateTime } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/notifications";
import { DELIVERIES, TARGETS, type Delivery, type DeliveryPage, type DeliveryState, type Target } from "./api";

const EVERY_MS = 5000;
const PAGE = 50;
const MOST = 500;
const STATES = ["waiting", "sent", "dead"] as const;
const TONES: Record<DeliveryState, Tone> = { waiting: "warn", sent: "good", dead: "bad" };

export function Deliveries({ query }: { query: URLSearchParams }): JSX.Element {
  const [limit, setLimit] = useState(PAGE);
  const state = STATES.find((one) => one === query.get("state"));
  const target = query.get("target") ?? "";
  const path = withQuery(DELIVERIES, { state, target, limit });
  const { data: page, problem, refresh } = usePolled<DeliveryPage>(path, EVERY_MS);
  const { data: targets = [] } = usePolled<Target[]>(TARGETS, 30_000);
  const show = (changes: Record<string, string | undefined>) => {
    setLimit(PAGE);
    go(link("notifications", "deliveries", { state, target, ...changes }), { replace: true });
  };
  return (
    <>
      <div class="notify-filter">
        <Segments
          label={t("state")}
          value={state ?? "all"}
          options={["all" as const, ...STATES].map((value) => ({ value, label: value === "all" ? common("all") : t(`state.${value}`) }))}
          onChange={(value) => show({ state: value === "all" ? undefined : value })}
        />
        <SelectField
          label={t("target")}
          labelHidden
          value={target}
          options={[{ value: "", label: t("all_targets") }, ...targets.map((one) => ({ value: `${one.target_id}`, label: one.name }))]}
          onChange={(value) => show({ target: value || undefined })}
        />
        {page?.deliveries.some((one) => one.state === "dead") && <SendAll target={target} />}
      </div>
      {problem && <Problem text={problem} onRetry={refresh} />}
      {page ? <List page={page} targets={targets} /> : !problem && <Spinner />}
      {page?.cursor != null && limit < MOST && (
        <Button class="notify-more" onClick={() => setLimit(Math.min(MOST, limit + PAGE))}>{common("more")}</Button>
      )}
    </>
  );
}

function List({ page, targets }: { page: DeliveryPage; targets: Target[] }): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const nameOf = (id: number) => targets.find((one) => one.target_id === id)?.name ?? `${id}`;
  const cameraOf = (id: string) => cameras.find((one) => one.camera_id === id)?.name ?? id;
  if (page.deliveries.length === 0) return <Empty title={t("no_deliveries")}>{t("no_deliveries_text")}</Empty>;
  return (
    <Card>
      <ul class="notify-list">
        {page.deliveries.map((one) => (
          <Row key={one.delivery_id} delivery={one} target={nameOf(one.target_id)} camera={cameraOf(one.stream_id)} />
        ))}
      </ul>
    </Card>
  );
}

function Row({ delivery, target, camera }: { delivery: Delivery; target: string; camera: string }): JSX.Element {
  const { state, event_ids: events, failures, answer } = delivery;
  const attempts = failures + (state === "sent" ? 1 : 0);
  return (
    <li>
      <div class="notify-what">
        <p>
          <a href={link("events", `${events[0]}`)}>{t("n_events", { n: events.length })}</a> · {camera} → <strong>{target}</strong>
        </p>
        <p class="quiet-text">
          {dateTime(delivery.created_ts)} · {t("n_attempts", { n: attempts })}
          {state === "waiting" && failures > 0 && ` · ${t("next_attempt", { time: dateTime(delivery.due_ts) })}`}
        </p>
        {answer && <p class="code notify-answer">{answer}</p>}
      </div>
      <StateMark state={TONES[state]} label={t(`state.${state}`)} />
      <div class="notify-buttons">{state === "dead" && <SendAgain delivery={delivery} />}</div>
    </li>
  );
}

function SendAgain({ delivery }: { delivery: Delivery }): JSX.Element {
  const { busy, problem, run } = useAction();
  const send = async () => {
    await run(() => call(`${DELIVERIES}/${delivery.delivery_id}/send`, { method: "POST" }));
    refreshAll(DELIVERIES);
  };
  return (
    <Button small busy={busy} title={problem} onClick={send}>{t("send_again")}</Button>
  );
}

/** Lets every dead delivery wait again: of one target, or of all. */
function SendAll({ target }: { target: string }): JSX.Element {
  const { busy, run } = useAction();
  const send = () =>
    run(async () => {
      const path = withQuery(`${DELIVERIES}/send-dead`, { target });
      const { deliveries } = await call<{ deliveries: number }>(path, { method: "POST" });
      toast(t("sending_again", { n: deliveries }));
      refreshAll(DELIVERIES);
    });
  return <Button busy={busy} onClick={send}>{t("send_all_again")}</Button>;
}
