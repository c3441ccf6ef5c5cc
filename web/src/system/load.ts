/** CPU cores in use, from the CPU times of two replies. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { SystemStatus } from "./api";

export interface Load {
  /** Cores in use by part of the work, the largest first. */
  parts: { part: string; cores: number }[];
  /** Cores in use by the threads of each camera. */
  cameras: Map<string, number>;
  total: number;
}

/** The load between the last two replies; null until there are two. */
export function useLoad(status: SystemStatus | undefined): Load | null {
  const last = useRef<SystemStatus | null>(null);
  const [load, setLoad] = useState<Load | null>(null);
  useEffect(() => {
    if (!status || status.now_ts === last.current?.now_ts) return;
    if (last.current && last.current.started_ts === status.started_ts) setLoad(loadBetween(last.current, status));
    last.current = status;
  }, [status]);
  return load;
}

/** Cores in use on each node of a cluster, by its name, between the last two replies. */
export function useNodeCores(status: SystemStatus | undefined): ReadonlyMap<string, number> {
  const last = useRef<SystemStatus | null>(null);
  const [cores, setCores] = useState<ReadonlyMap<string, number>>(new Map());
  useEffect(() => {
    if (!status || status.now_ts === last.current?.now_ts) return;
    if (last.current) setCores(coresBetween(last.current, status));
    last.current = status;
  }, [status]);
  return cores;
}

function coresBetween(before: SystemStatus, after: SystemStatus): Map<string, number> {
  const seconds = Math.max(0.1, after.now_ts - before.now_ts);
  const known = new Map(before.nodes.map((one) => [one.node, one.cpu_s]));
  const cores = new Map<string, number>();
  for (const { node, cpu_s: now } of after.nodes) {
    const then = known.get(node) ?? null;
    // A process that was started again counts from 0.
    if (now !== null && then !== null && now >= then) cores.set(node, (now - then) / seconds);
  }
  return cores;
}

function loadBetween(before: SystemStatus, after: SystemStatus): Load {
  const seconds = Math.max(0.1, after.now_ts - before.now_ts);
  const keyOf = (part: string, camera: string | null) => `${part}/${camera ?? ""}`;
  const known = new Map(before.parts.map((one) => [keyOf(one.part, one.camera_id), one.cpu_s]));
  const parts = new Map<string, number>();
  const cameras = new Map<string, number>();
  let total = 0;
  for (const { part, camera_id: camera, cpu_s } of after.parts) {
    // A thread that ended takes its time with it.
    const cores = Math.max(0, cpu_s - (known.get(keyOf(part, camera)) ?? 0)) / seconds;
    parts.set(part, (parts.get(part) ?? 0) + cores);
    if (camera !== null) cameras.set(camera, (cameras.get(camera) ?? 0) + cores);
    total += cores;
  }
  const sorted = [...parts].map(([part, cores]) => ({ part, cores })).sort((a, b) => b.cores - a.cores);
  return { parts: sorted, cameras, total };
}
