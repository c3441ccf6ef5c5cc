/** The views, each in a folder of its own and loaded when it is first opened. */

import type { ComponentType } from "preact";
import type { Right } from "../api/session";
import {
  CameraIcon,
  EventsIcon,
  type Icon,
  LiveIcon,
  NotificationsIcon,
  PlateIcon,
  RecordingsIcon,
  SystemIcon,
} from "../parts/icons";

export interface ViewProps {
  /** What follows the view's name in the address: `#/live/gate` gives `["gate"]`. */
  path: string[];
  query: URLSearchParams;
}

export type ViewModule = { default: ComponentType<ViewProps> };

export interface ViewEntry {
  /** In the address; its label is `nav.NAME` in words/shell.ts. */
  name: ViewName;
  icon: Icon;
  /** Who lacks it does not see the view. */
  right: Right;
  load: () => Promise<ViewModule>;
}

export type ViewName = "live" | "events" | "cameras" | "plates" | "recordings" | "notifications" | "system";

export const VIEWS: readonly ViewEntry[] = [
  { name: "live", icon: LiveIcon, right: "view", load: () => import("../live/live") },
  { name: "events", icon: EventsIcon, right: "view", load: () => import("../events/events") },
  { name: "cameras", icon: CameraIcon, right: "view", load: () => import("../cameras/cameras") },
  { name: "plates", icon: PlateIcon, right: "plates", load: () => import("../plates/plates") },
  { name: "recordings", icon: RecordingsIcon, right: "view", load: () => import("../recordings/recordings") },
  { name: "notifications", icon: NotificationsIcon, right: "administer", load: () => import("../notifications/notifications") },
  { name: "system", icon: SystemIcon, right: "monitor", load: () => import("../system/system") },
];
