/** The list of everything that runs: `GET /cameras`. */

import { type Polled, usePolled } from "./polling";

export type StreamState = "starting" | "running" | "reconnecting" | "stopped" | "failed";

export interface PlaceCounts {
  zones: Record<string, unknown>;
  lines: Record<string, unknown>;
}

export interface Camera {
  camera_id: string;
  name: string;
  /** The node of a cluster that runs it; null without a cluster. */
  node: string | null;
  /** What started it: an API, a collection job, or the server itself. */
  kind: "demo" | "rtsp" | "push" | "camera" | "job";
  /** What may be a password in it is masked. */
  source: string;
  state: StreamState;
  /** Why it does not run, or last did not: the whole text, in English. */
  last_error: string | null;
  /** The same in a few words of the page's language, such as “connection refused”. */
  problem: string | null;
  fps: number;
  width: number | null;
  height: number | null;
  blur: "gaussian" | "pixelate" | "solid" | "off";
  /** Rules that run on it. */
  analytics: string[];
  /** Counts of the newest frame. */
  stats: { faces: number; ids: number; bags: number; owned: number; places?: PlaceCounts };
  /** What it goes without because the machine cannot do everything; null: nothing. */
  reduced: {
    message: string;
    object_fps: number | null;
    crops: boolean;
    face_gap_ms: number;
    fps: number | null;
  } | null;
}

export const CAMERAS = "cameras";
const EVERY_MS = 2000;

export function useCameras(): Polled<Camera[]> {
  return usePolled<Camera[]>(CAMERAS, EVERY_MS);
}

/** Names of cameras by their ids; what is no camera, such as an address, stays as it is. */
export function useCameraName(): (id: string) => string {
  const { data: cameras = [] } = useCameras();
  return (id) => cameras.find(({ camera_id: other }) => other === id)?.name ?? id;
}
