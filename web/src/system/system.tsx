/** The server itself: health, load, last errors, settings, backup. */

import type { JSX } from "preact";
import { usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { Tabs, View } from "../parts";
import { go, link } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { t as shell } from "../words/shell";
import { t } from "../words/system";
import { CameraLoads } from "./camera_loads";
import { NODES, type ClusterNode } from "./api";
import { Doctor } from "./doctor";
import { Log } from "./log";
import { Nodes } from "./nodes";
import { Overview } from "./overview";
import { Settings } from "./settings";
import "./system.css";

const NODES_EVERY_MS = 30_000;
const CONTENT = { overview: Overview, cameras: CameraLoads, nodes: Nodes, doctor: Doctor, log: Log, settings: Settings };
type TabName = keyof typeof CONTENT;
const TABS = Object.keys(CONTENT) as TabName[];

export default function System({ path }: ViewProps): JSX.Element {
  const may = useRights();
  const { data: nodes } = usePolled<ClusterNode[]>(may("monitor", "*") ? NODES : null, NODES_EVERY_MS);
  const hasNodes = nodes ? nodes.length > 0 : path[0] === "nodes";
  const tabs = TABS.filter((name) => {
    if (name === "nodes") return hasNodes;
    return name !== "settings" || may("administer");
  });
  const current = tabs.find((name) => name === path[0]) ?? "overview";
  const Content = CONTENT[current];
  return (
    <View title={shell("nav.system")}>
      <Tabs
        label={shell("nav.system")}
        tabs={tabs.map((name) => ({ name, label: t(`tab.${name}`) }))}
        current={current}
        onChange={(name) => go(link("system", name))}
      >
        <Content />
      </Tabs>
    </View>
  );
}
