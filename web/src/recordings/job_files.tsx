/** The files of a job: play, download; and its gaps. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { at } from "../api/client";
import { usePolled } from "../api/polling";
import { Button, ButtonLink, Dialog, DownloadIcon, PlayIcon, Problem, Spinner, Table } from "../parts";
import { bytes, dateTime, number } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/recordings";
import { type Job, type JobFile, useJobName } from "./job_types";

const EVERY_MS = 5000;

export function JobFiles({ job, mayPlay, onClose }: { job: Job; mayPlay: boolean; onClose: () => void }): JSX.Element {
  const { data, problem } = usePolled<{ files: JobFile[] }>(`collect/jobs/${job.job_id}/files`, EVERY_MS);
  const [played, setPlayed] = useState<JobFile | null>(null);
  const nameOf = useJobName();
  return (
    <Dialog title={nameOf(job)} size="medium" onClose={onClose}>
      {played && (
        <video class="job-video" key={played.file_id} src={at(played.url).href} controls autoplay muted playsInline aria-label={played.name} />
      )}
      {!data && (problem ? <Problem text={problem} /> : <Spinner />)}
      {data && (
        <Table<JobFile>
          label={t("files")}
          rows={data.files}
          keyOf={({ file_id }) => file_id}
          empty={<p class="hint">{t("no_files")}</p>}
          columns={[
            { name: "source", title: t("source"), cell: ({ source }) => source },
            { name: "begun", title: t("begun"), cell: ({ started_ts }) => dateTime(started_ts) },
            { name: "length", title: t("length"), cell: ({ seconds }) => t("seconds", { n: number(seconds) }), numeric: true },
            { name: "size", title: t("size"), cell: ({ bytes: size }) => bytes(size), numeric: true, wide: true },
            {
              name: "actions",
              title: common("more"),
              titleHidden: true,
              cell: (file) =>
                file.removed_ts !== null ? (
                  <span class="hint">{t("file_removed")}</span>
                ) : !file.available ? (
                  <span class="hint">{t("file_away")}</span>
                ) : (
                  mayPlay && (
                    <span class="job-actions">
                      <Button small icon={PlayIcon} onClick={() => setPlayed(file)}>
                        {t("play")}
                      </Button>
                      <ButtonLink small icon={DownloadIcon} href={at(file.url).href} download={file.name}>
                        {common("download")}
                      </ButtonLink>
                    </span>
                  )
                ),
            },
          ]}
        />
      )}
      {job.gaps.length > 0 && (
        <section>
          <h3>{t("gaps")}</h3>
          <ul class="rows">
            {job.gaps.map((gap) => (
              <li key={`${gap.source} ${gap.from_ts}`}>
                <span>
                  {gap.source}, {dateTime(gap.from_ts)}
                </span>
                <span class="hint">
                  {t("seconds", { n: number(gap.seconds, 1) })} · {gap.reason}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Dialog>
  );
}
