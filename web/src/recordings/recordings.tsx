/** What is recorded: the timeline of a camera, collection jobs, and disk space. */

import "./recordings.css";
import type { JSX } from "preact";
import { useRights } from "../api/session";
import { Tabs, View } from "../parts";
import { go, link } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { t } from "../words/recordings";
import { t as shell } from "../words/shell";
import { Jobs } from "./jobs";
import { StorageView } from "./storage";
import { TimelineView } from "./timeline_view";

type TabName = "timeline" | "jobs" | "storage";

export default function Recordings({ path, query }: ViewProps): JSX.Element {
  const may = useRights();
  const asked = query.get("tab") as TabName | null;
  const names: TabName[] = may("jobs") ? ["timeline", "jobs", "storage"] : ["timeline", "storage"];
  const current = asked !== null && names.includes(asked) ? asked : "timeline";
  return (
    <View title={shell("nav.recordings")} class="recordings">
      <Tabs
        label={shell("nav.recordings")}
        tabs={names.map((name) => ({ name, label: t(`tab.${name}`) }))}
        current={current}
        onChange={(tab) => go(tab === "timeline" ? link("recordings") : link("recordings", { tab }))}
      >
        {current === "timeline" && <TimelineView camera={path[0]} query={query} />}
        {current === "jobs" && <Jobs />}
        {current === "storage" && <StorageView />}
      </Tabs>
    </View>
  );
}
