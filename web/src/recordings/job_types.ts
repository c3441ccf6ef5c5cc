/** Collection jobs and schedules, as the server has them. */

import { useCameraName } from "../api/cameras";

export type JobState = "running" | "completed" | "completed_with_gaps" | "failed" | "cancelled" | "interrupted";

export interface Job {
  job_id: string;
  state: JobState;
  name: string | null;
  tags: string[];
  flagged: boolean;
  error: string | null;
  duration: number;
  percent: number;
  sources: { source: string; done: boolean; error: string | null }[];
  gaps: { source: string; from_ts: number; to_ts: number; seconds: number; reason: string }[];
  bytes: number;
  seconds: number;
  created_ts: number;
  ended_ts: number | null;
}

export interface JobFile {
  file_id: number;
  name: string;
  source: string;
  url: string;
  started_ts: number;
  seconds: number;
  bytes: number;
  width: number;
  height: number;
  removed_ts: number | null;
  /** Not after it was removed, nor while the node that has it does not answer. */
  available: boolean;
}

export interface Schedule {
  schedule_id: string;
  cron: string;
  timezone: string;
  enabled: boolean;
  sources: string[];
  duration: number;
  name: string | null;
  next_run_ts: number | null;
  last_run_ts: number | null;
  last_job_id: string | null;
  skipped: number;
  error: string | null;
}

/** A message of a job's socket. */
export interface JobLine {
  type: "started" | "progress" | "completed" | "error";
  text: string;
  state: JobState;
  percent: number;
  eta_s: number | null;
  bytes: number;
}

export const TONES: Record<JobState, "good" | "warn" | "bad" | "idle"> = {
  running: "good",
  completed: "good",
  completed_with_gaps: "warn",
  failed: "bad",
  cancelled: "idle",
  interrupted: "warn",
};

/** What to call a job: by its own name, or by those of its cameras. */
export function useJobName(): (job: Job) => string {
  const nameOf = useCameraName();
  return (job) => job.name ?? job.sources.map(({ source }) => nameOf(source)).join(", ");
}
