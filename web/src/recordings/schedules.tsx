/** Jobs that repeat: list, add, switch off, remove. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameraName } from "../api/cameras";
import { call, problemOf } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import { AddIcon, Button, Card, Confirm, DeleteIcon, IconButton, Problem, Switch, Table, toast } from "../parts";
import { dateTime, number } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/recordings";
import { JobForm } from "./job_form";
import type { Schedule } from "./job_types";

const PATH = "collect/schedules";
const EVERY_MS = 15_000;
const DAILY = /^(\d{1,2}) (\d{1,2}) \* \* (\*|[\d,-]+)$/;

export function Schedules(): JSX.Element {
  const { data, problem } = usePolled<Schedule[]>(PATH, EVERY_MS);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Schedule | null>(null);
  const titleOf = useTitle();
  const enable = (schedule: Schedule, enabled: boolean) =>
    call(`${PATH}/${schedule.schedule_id}`, { method: "PATCH", body: { enabled } })
      .then(() => refresh(PATH))
      .catch((error: unknown) => toast(problemOf(error), { bad: true }));
  return (
    <Card
      title={t("schedules")}
      actions={
        <Button icon={AddIcon} onClick={() => setAdding(true)}>
          {t("add_schedule")}
        </Button>
      }
    >
      {problem && !data && <Problem text={problem} />}
      {data && (
        <Table<Schedule>
          label={t("schedules")}
          rows={data}
          keyOf={({ schedule_id }) => schedule_id}
          empty={<p class="hint">{t("no_schedules")}</p>}
          columns={[
            { name: "name", title: t("job_name"), cell: titleOf },
            { name: "when", title: t("when"), cell: whenOf },
            {
              name: "next",
              title: t("next_run"),
              cell: ({ next_run_ts: ts, error }) => error ?? (ts === null ? "–" : dateTime(ts)),
              wide: true,
            },
            { name: "skipped", title: t("skipped"), cell: ({ skipped }) => number(skipped), numeric: true, wide: true },
            {
              name: "actions",
              title: common("more"),
              titleHidden: true,
              cell: (schedule) => (
                <span class="job-actions">
                  <Switch
                    label={common("on")}
                    of={titleOf(schedule)}
                    checked={schedule.enabled}
                    onChange={(enabled) => void enable(schedule, enabled)}
                  />
                  <IconButton
                    icon={DeleteIcon}
                    label={`${common("delete")}: ${titleOf(schedule)}`}
                    onClick={() => setRemoving(schedule)}
                  />
                </span>
              ),
            },
          ]}
        />
      )}
      {adding && <JobForm repeats onClose={() => setAdding(false)} />}
      {removing && <Remove schedule={removing} onClose={() => setRemoving(null)} />}
    </Card>
  );
}

function useTitle(): (schedule: Schedule) => string {
  const nameOf = useCameraName();
  return ({ name, sources }) => name ?? (sources.length ? sources.map(nameOf).join(", ") : t("all_running"));
}

function whenOf({ cron, timezone, duration }: Schedule): string {
  const [, minute, hour, days] = DAILY.exec(cron) ?? [];
  const length = t("minutes", { n: number(duration / 60) });
  if (minute === undefined || hour === undefined) return `${cron}, ${timezone} · ${length}`;
  return `${t.or(`days.${days}`, days ?? "")}, ${hour.padStart(2, "0")}:${minute.padStart(2, "0")} · ${length}`;
}

function Remove({ schedule, onClose }: { schedule: Schedule; onClose: () => void }): JSX.Element {
  const action = useAction();
  const titleOf = useTitle();
  return (
    <Confirm
      title={t("remove_schedule")}
      confirm={common("delete")}
      danger
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action
          .run(() => call(`${PATH}/${schedule.schedule_id}`, { method: "DELETE" }))
          .then((done) => {
            if (!done) return;
            refresh(PATH);
            onClose();
          })
      }
    >
      <p>{t("remove_schedule_text", { name: titleOf(schedule) })}</p>
    </Confirm>
  );
}
