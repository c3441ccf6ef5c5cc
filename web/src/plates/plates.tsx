/** Number plates: readings to check, photos to read, the watch-list, and counts. */

import type { JSX } from "preact";
import { Tabs, View } from "../parts";
import { go, link } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { t } from "../words/plates";
import { t as shell } from "../words/shell";
import { PlateDialog } from "./plate_dialog";
import "./plates.css";
import { Readings } from "./readings";
import { StatisticsTab } from "./statistics";
import { UploadTab } from "./upload_tab";
import { Watchlist } from "./watchlist";

const TABS = ["readings", "upload", "watchlist", "statistics"] as const;
type TabName = (typeof TABS)[number];

const CONTENT: Record<TabName, (props: { query: URLSearchParams }) => JSX.Element> = {
  readings: Readings,
  upload: UploadTab,
  watchlist: Watchlist,
  statistics: StatisticsTab,
};

/** `#/plates/TAB`, or `#/plates/TAB/ID` for one reading above it. */
export default function Plates({ path, query }: ViewProps): JSX.Element {
  const current = TABS.find((name) => name === path[0]) ?? "readings";
  const id = Number(path[1]);
  const Content = CONTENT[current];
  const asked = Object.fromEntries(query);
  return (
    <View title={shell("nav.plates")}>
      <Tabs
        label={shell("nav.plates")}
        tabs={TABS.map((name) => ({ name, label: t(`tab.${name}`) }))}
        current={current}
        onChange={(name) => go(link("plates", name))}
      >
        <Content query={query} />
      </Tabs>
      {id > 0 && <PlateDialog key={id} id={id} tab={current} onClose={() => go(link("plates", current, asked))} />}
    </View>
  );
}
