/** What the server says about itself. */

export interface CpuPart {
  part: string;
  camera_id: string | null;
  /** CPU time since the server began; the difference of two replies is the load between them. */
  cpu_s: number;
}

export interface CameraLoad {
  camera_id: string;
  name: string;
  state: string;
  /** What was asked for. */
  max_fps: number;
  reduced: { message: string } | null;
  /** Its last error in words. */
  problem: string | null;
  numbers: {
    input_fps: number;
    output_fps: number;
    frames_in: number;
    frames_dropped: number;
    frames_withheld: number;
    frames_published: number;
    latency_ms: { p50: number | null; p95: number | null };
    last_error: string | null;
    decoder: string | null;
    encoder: string | null;
    width: number | null;
    height: number | null;
  };
}

export interface NetworkStatus {
  purpose: string;
  name: string | null;
  device: string | null;
  waiting: number;
  trouble: string | null;
}

export interface SystemStatus {
  now_ts: number;
  started_ts: number;
  version: string;
  packages: Record<string, string>;
  machine: { system: string; python: string; cpus: number; load_1m: number | null; memory_bytes: number | null };
  issues: { what: string; reason: string }[];
  parts: CpuPart[];
  cameras: CameraLoad[];
  nodes: NodeLoad[];
  networks: NetworkStatus[];
  disk: { size: number | null; free: number | null; floor: number; stored: number; limit: number | null };
  database: { kind: string; bytes: number | null };
  events_waiting: number;
  events_lost: number;
}

/** What a node of a cluster does; null: it has not said. */
export interface NodeLoad {
  node: string;
  cpus: number | null;
  /** CPU time of its process; the difference of two replies is the load between them. */
  cpu_s: number | null;
  load_1m: number | null;
  memory_bytes: number | null;
  disk_size: number | null;
  disk_free: number | null;
  stored: number | null;
  events_lost: number | null;
}

/** A machine of a cluster, or one of its processes for streams. */
export interface ClusterNode {
  node_id: string;
  name: string;
  address: string;
  state: "ready" | "opening" | "no_answer" | "refused" | "draining" | "drained";
  /** Why it is refused, or why no stream moves away. */
  reason: string | null;
  streams: string[];
  version: string | null;
  /** Cameras of 1080p at 15 fps that it can process; null: not measured. */
  cameras: number | null;
}

export interface LoggedProblem {
  first_ts: number;
  last_ts: number;
  count: number;
  level: "warning" | "error" | "critical";
  source: string;
  text: string;
}

export interface Setting {
  name: string;
  variable: string;
  value: unknown;
  default: unknown;
  /** Whether it can be changed without a restart. */
  live: boolean;
  description: string;
}

export interface DoctorReport {
  healthy: boolean;
  findings: { name: string; status: "ok" | "warning" | "problem"; text: string; advice: string }[];
  costs: Record<string, number | string> | null;
  cameras: { load: string; fps: number; cameras: number }[];
  suggestions: { text: string; cameras: number }[];
}

export const STATUS = "api/system/status";
export const NODES = "api/nodes";
export const LOG = "api/system/log";
export const SETTINGS = "api/system/settings";
export const BACKUP = "api/system/backup";
export const DOCTOR = "api/doctor";
