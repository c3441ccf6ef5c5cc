/** Where events are sent to: targets, the routes that lead to them, and what is on its way. */

import type { JSX } from "preact";
import { Tabs, View } from "../parts";
import { go, link } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { t } from "../words/notifications";
import { t as shell } from "../words/shell";
import { Deliveries } from "./deliveries";
import "./notifications.css";
import { Routes } from "./routes";
import { Targets } from "./targets";

const TABS = ["targets", "routes", "deliveries"] as const;
type TabName = (typeof TABS)[number];

const CONTENT: Record<TabName, (props: { query: URLSearchParams }) => JSX.Element> = {
  targets: Targets,
  routes: Routes,
  deliveries: Deliveries,
};

export default function Notifications({ path, query }: ViewProps): JSX.Element {
  const current = TABS.find((name) => name === path[0]) ?? "targets";
  const Content = CONTENT[current];
  return (
    <View title={shell("nav.notifications")}>
      <Tabs
        label={shell("nav.notifications")}
        tabs={TABS.map((name) => ({ name, label: t(`tab.${name}`) }))}
        current={current}
        onChange={(name) => go(link("notifications", name))}
      >
        <Content query={query} />
      </Tabs>
    </View>
  );
}
