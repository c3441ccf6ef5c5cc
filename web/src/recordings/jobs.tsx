/** Collection jobs: start one, follow it, play and download its files; and those that repeat. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import { Socket } from "../api/socket";
import { useRights } from "../api/session";
import {
  AddIcon,
  Button,
  Card,
  Confirm,
  DeleteIcon,
  FlagIcon,
  IconButton,
  Problem,
  Spinner,
  StateMark,
  StopIcon,
  Table,
  toast,
} from "../parts";
import { bytes, dateTime, percent } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/recordings";
import { JobFiles } from "./job_files";
import { JobForm } from "./job_form";
import { type Job, type JobLine, TONES, useJobName } from "./job_types";
import { Schedules } from "./schedules";

const PATH = "collect/jobs";
const PAGE = 20;
const EVERY_MS = 5000;
const MOST_FOLLOWED = 8;

export function Jobs(): JSX.Element {
  const [limit, setLimit] = useState(PAGE);
  const { data, problem, refresh: again } = usePolled<{ total: number; jobs: Job[] }>(`${PATH}?limit=${limit}`, EVERY_MS);
  const [starting, setStarting] = useState(false);
  const [files, setFiles] = useState<Job | null>(null);
  const [ending, setEnding] = useState<Job | null>(null);
  const may = useRights();
  const nameOf = useJobName();
  const lines = useLines((data?.jobs ?? []).filter(({ state }) => state === "running").map(({ job_id }) => job_id));
  if (!data) return problem ? <Problem text={problem} onRetry={() => void again()} /> : <Spinner />;
  const flag = (job: Job) =>
    call(`${PATH}/${job.job_id}`, { method: "PATCH", body: { flagged: !job.flagged } })
      .then(() => refresh(PATH))
      .catch((error: Error) => toast(error.message, { bad: true }));
  return (
    <>
      <Card
        title={t("tab.jobs")}
        actions={
          <Button kind="primary" icon={AddIcon} onClick={() => setStarting(true)}>
            {t("start_job")}
          </Button>
        }
      >
        <p class="hint">{t("jobs_text")}</p>
        <Table<Job>
          label={t("tab.jobs")}
          rows={data.jobs}
          keyOf={({ job_id }) => job_id}
          empty={<p class="hint">{t("no_jobs")}</p>}
          columns={[
            {
              name: "name",
              title: t("job_name"),
              cell: (job) => (
                <button type="button" class="timeline-jump" onClick={() => setFiles(job)}>
                  {nameOf(job)}
                </button>
              ),
            },
            { name: "state", title: t("state"), cell: (job) => <Progress job={job} line={lines.get(job.job_id)} /> },
            { name: "begun", title: t("begun"), cell: ({ created_ts }) => dateTime(created_ts), wide: true },
            {
              name: "size",
              title: t("size"),
              cell: (job) => bytes(lines.get(job.job_id)?.bytes ?? job.bytes),
              numeric: true,
              wide: true,
            },
            {
              name: "actions",
              title: common("more"),
              titleHidden: true,
              cell: (job) => (
                <span class="job-actions">
                  <IconButton
                    icon={FlagIcon}
                    label={`${job.flagged ? t("unflag") : t("flag")}: ${nameOf(job)}`}
                    pressed={job.flagged}
                    onClick={() => void flag(job)}
                  />
                  <IconButton
                    icon={job.state === "running" ? StopIcon : DeleteIcon}
                    label={`${job.state === "running" ? t("cancel_job") : common("delete")}: ${nameOf(job)}`}
                    onClick={() => setEnding(job)}
                  />
                </span>
              ),
            },
          ]}
        />
        {data.total > data.jobs.length && (
          <Button onClick={() => setLimit(Math.min(500, limit + PAGE))}>{common("more")}</Button>
        )}
      </Card>
      <Schedules />
      {starting && <JobForm onClose={() => setStarting(false)} />}
      {files && <JobFiles job={files} mayPlay={may("export")} onClose={() => setFiles(null)} />}
      {ending && <End job={ending} onClose={() => setEnding(null)} />}
    </>
  );
}

function Progress({ job, line }: { job: Job; line: JobLine | undefined }): JSX.Element {
  const nameOf = useJobName();
  if (job.state !== "running") {
    return (
      <span class="job-state">
        <StateMark state={TONES[job.state]} label={t(`job.${job.state}`)} />
        {job.error && <span class="hint">{job.error}</span>}
      </span>
    );
  }
  const share = (line?.percent ?? job.percent) / 100;
  return (
    <span class="job-state">
      <progress max={1} value={share} aria-label={`${t("progress")}: ${nameOf(job)}`} />
      <span class="hint">
        {percent(share)}
        {line?.eta_s != null && ` · ${t("left", { n: Math.ceil(line.eta_s) })}`}
      </span>
    </span>
  );
}

/** The newest line of each running job, by a socket each. */
function useLines(running: string[]): ReadonlyMap<string, JobLine> {
  const [lines, setLines] = useState<ReadonlyMap<string, JobLine>>(new Map());
  const ids = running.slice(0, MOST_FOLLOWED).join(" ");
  useEffect(() => {
    const sockets = ids
      .split(" ")
      .filter(Boolean)
      .map((id) => {
        const socket = new Socket(`ws/${id}?format=json`, {
          onText(text) {
            const line = JSON.parse(text) as JobLine;
            setLines((now) => new Map(now).set(id, line));
            if (line.type !== "completed" && line.type !== "error") return;
            socket.close();
            refresh(PATH);
          },
        });
        return socket;
      });
    setLines(new Map());
    return () => sockets.forEach((socket) => socket.close());
  }, [ids]);
  return lines;
}

/** Cancel a job that runs, or delete a finished one with its files. */
function End({ job, onClose }: { job: Job; onClose: () => void }): JSX.Element {
  const action = useAction();
  const nameOf = useJobName();
  const runs = job.state === "running";
  return (
    <Confirm
      title={runs ? t("cancel_job") : t("delete_job")}
      confirm={runs ? t("cancel_job") : common("delete")}
      danger={!runs}
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action
          .run(() => call(`${PATH}/${job.job_id}`, { method: "DELETE" }))
          .then((done) => {
            if (!done) return;
            refresh(PATH);
            onClose();
          })
      }
    >
      <p>{t(runs ? "cancel_job_text" : "delete_job_text", { name: nameOf(job) })}</p>
    </Confirm>
  );
}
