/** The nodes of a cluster: what each does, and emptying one for maintenance. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { call } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { Button, Card, Confirm, Problem, Spinner, StateMark, toast, type Tone } from "../parts";
import { link } from "../shell/router";
import { bytes, number } from "../words";
import { t } from "../words/system";
import { NODES, STATUS, type ClusterNode, type NodeLoad, type SystemStatus } from "./api";
import { Facts } from "./facts";
import { useNodeCores } from "./load";

const EVERY_MS = 3000;
/** Streams that are named; the others are counted. */
const NAMED = 12;
const TONES: Record<ClusterNode["state"], Tone> = {
  ready: "good",
  opening: "warn",
  no_answer: "bad",
  refused: "bad",
  draining: "warn",
  drained: "idle",
};

export function Nodes(): JSX.Element {
  const { data: nodes, problem, refresh: again } = usePolled<ClusterNode[]>(NODES, EVERY_MS);
  const { data: status } = usePolled<SystemStatus>(STATUS, EVERY_MS);
  const cores = useNodeCores(status);
  if (!nodes) return problem ? <Problem text={problem} onRetry={again} /> : <Spinner />;
  return (
    <>
      {problem && <Problem text={problem} onRetry={again} />}
      <div class="system-grid">
        {nodes.map((node) => (
          <NodeCard
            key={node.node_id}
            node={node}
            load={status?.nodes.find((one) => one.node === node.name)}
            cores={cores.get(node.name)}
          />
        ))}
      </div>
      <p class="hint">{t("nodes_hint")}</p>
    </>
  );
}

function NodeCard({ node, load, cores }: {
  node: ClusterNode;
  load: NodeLoad | undefined;
  cores: number | undefined;
}): JSX.Element {
  return (
    <Card title={node.name} class="system-node" actions={<NodeAction node={node} />}>
      <StateMark state={TONES[node.state]} label={t(`node.${node.state}`)} />
      {node.reason && <p class="system-reason">{node.reason}</p>}
      <Facts
        facts={[
          [t("address"), node.address],
          [t("streams"), <Streams ids={node.streams} />],
          ...(load?.cpus ? loadFacts(load, cores) : []),
          ...(node.cameras === null ? [] : [[t("can_process"), t("usual_cameras", { n: number(node.cameras, 1) })] as const]),
          ...(load?.events_lost ? [[t("events_lost"), number(load.events_lost)] as const] : []),
          ...(node.version === null ? [] : [[t("version"), node.version] as const]),
        ]}
      />
    </Card>
  );
}

/** Its cameras, each a link to its video. */
function Streams({ ids }: { ids: readonly string[] }): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const names = new Map(cameras.map((one) => [one.camera_id, one.name]));
  if (ids.length === 0) return <>{number(0)}</>;
  return (
    <>
      {number(ids.length)}
      <ul class="system-streams">
        {ids.slice(0, NAMED).map((id) => (
          <li key={id}>
            <a href={link("live", id)}>{names.get(id) ?? id}</a>
          </li>
        ))}
        {ids.length > NAMED && <li>{t("and_more", { n: ids.length - NAMED })}</li>}
      </ul>
    </>
  );
}

/** A button that empties the node, or uses it again. */
function NodeAction({ node }: { node: ClusterNode }): JSX.Element | null {
  const may = useRights();
  const [asking, setAsking] = useState(false);
  const { busy, problem, run, clear } = useAction();
  if (!may("administer", "*")) return null;
  const change = async (what: "drain" | "resume") => {
    const done = await run(() => call(`${NODES}/${encodeURIComponent(node.node_id)}/${what}`, { method: "POST" }));
    if (done) setAsking(false);
    refresh(NODES);
    return done;
  };
  const close = () => {
    setAsking(false);
    clear();
  };
  if (node.state === "draining" || node.state === "drained") {
    const resume = async () => {
      if (await change("resume")) toast(t("resumed", { name: node.name }));
    };
    return (
      <>
        {problem && <span class="problem" role="alert">{problem}</span>}
        <Button small busy={busy} onClick={resume} label={t("resume_name", { name: node.name })}>{t("resume")}</Button>
      </>
    );
  }
  if (node.state !== "ready") return null;
  return (
    <>
      <Button small onClick={() => setAsking(true)} label={t("drain_name", { name: node.name })}>{t("drain")}</Button>
      {asking && (
        <Confirm
          title={t("drain_name", { name: node.name })}
          confirm={t("drain")}
          busy={busy}
          problem={problem}
          onConfirm={() => void change("drain")}
          onClose={close}
        >
          <p>{t("drain_text")}</p>
        </Confirm>
      )}
    </>
  );
}

function loadFacts(load: NodeLoad, cores: number | undefined): [string, string][] {
  const disk = load.disk_free === null || load.disk_size === null
    ? "–"
    : t("free_of", { free: bytes(load.disk_free), size: bytes(load.disk_size) });
  return [
    [t("cpu"), cores === undefined ? "…" : t("cores_of", { cores: number(cores, 1), all: load.cpus ?? 0 })],
    [t("machine_load"), load.load_1m === null ? "–" : number(load.load_1m, 1)],
    [t("memory"), load.memory_bytes === null ? "–" : bytes(load.memory_bytes)],
    [t("disk_free"), disk],
    [t("stored"), load.stored === null ? "–" : bytes(load.stored)],
  ];
}
