/** The routes: which events go to which targets. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameras, type Camera } from "../api/cameras";
import { useAction, usePolled } from "../api/polling";
import { AddIcon, Button, Card, Confirm, Empty, NotificationsIcon, Problem, Spinner, Switch, hoursText } from "../parts";
import { list } from "../words";
import { t as common } from "../words/common";
import { t as names } from "../words/names";
import { t } from "../words/notifications";
import { ROUTES, TARGETS, removeRoute, saveRoute, type Route, type Target } from "./api";
import { RouteForm } from "./route_form";

const EVERY_MS = 10_000;

export function Routes(): JSX.Element {
  const { data: routes, problem, refresh } = usePolled<Route[]>(ROUTES, EVERY_MS);
  const { data: targets } = usePolled<Target[]>(TARGETS, EVERY_MS);
  const { data: cameras = [] } = useCameras();
  const [editing, setEditing] = useState<Route | "new" | null>(null);
  if (!routes || !targets) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  const add = (
    <Button kind="primary" icon={AddIcon} disabled={targets.length === 0} onClick={() => setEditing("new")}>
      {t("add_route")}
    </Button>
  );
  return (
    <>
      {problem && <Problem text={problem} onRetry={refresh} />}
      {routes.length === 0 ? (
        <Empty icon={NotificationsIcon} title={t("no_routes")} actions={add}>
          {t(targets.length === 0 ? "no_routes_no_targets" : "no_routes_text")}
        </Empty>
      ) : (
        <Card title={t("tab.routes")} actions={add}>
          <ul class="notify-list">
            {routes.map((route) => (
              <RouteRow key={route.route_id} route={route} targets={targets} cameras={cameras} onEdit={() => setEditing(route)} />
            ))}
          </ul>
        </Card>
      )}
      {editing && (
        <RouteForm
          route={editing === "new" ? undefined : editing}
          targets={targets}
          cameras={cameras}
          onClose={() => setEditing(null)}
        />
      )}
    </>
  );
}

interface RouteRowProps {
  route: Route;
  targets: Target[];
  cameras: Camera[];
  onEdit: () => void;
}

function RouteRow({ route, targets, cameras, onEdit }: RouteRowProps): JSX.Element {
  const { busy, problem, run, clear } = useAction();
  const [deleting, setDeleting] = useState(false);
  const nameOf = (id: number) => targets.find((one) => one.target_id === id)?.name ?? `${id}`;
  const { route_id: id, suppressed, ...selection } = route;
  const close = () => {
    clear();
    setDeleting(false);
  };
  return (
    <li>
      <div class="notify-what">
        <h3>{route.name}</h3>
        <p class="quiet-text">{selected(route, cameras)}</p>
        <p class="quiet-text">
          → {route.targets.length > 0 ? list(route.targets.map(nameOf)) : t("no_target")}
          {suppressed > 0 && ` · ${t("suppressed", { n: suppressed })}`}
        </p>
      </div>
      <Switch
        label={t(route.enabled ? "active" : "paused")}
        of={route.name}
        checked={route.enabled}
        onChange={(enabled) => run(() => saveRoute(id, { ...selection, enabled }))}
      />
      <div class="notify-buttons">
        <Button small onClick={onEdit}>{common("edit")}</Button>
        <Button small onClick={() => setDeleting(true)}>{common("delete")}</Button>
      </div>
      {problem && !deleting && <p class="problem notify-note" role="alert">{problem}</p>}
      {deleting && (
        <Confirm
          title={t("delete_route", { name: route.name })}
          confirm={common("delete")}
          danger
          busy={busy}
          problem={problem}
          onConfirm={() => run(() => removeRoute(id))}
          onClose={close}
        >
          <p>{t("delete_route_text")}</p>
        </Confirm>
      )}
    </li>
  );
}

/** What a route takes, in a line. */
function selected(route: Route, cameras: Camera[]): string {
  const cameraName = (id: string) => cameras.find((one) => one.camera_id === id)?.name ?? id;
  const parts = [
    route.cameras.length > 0 ? list(route.cameras.map(cameraName)) : t("all_cameras"),
    route.types.length > 0 ? list(route.types.map((one) => names.or(`event.${one}`, one))) : t("all_events"),
    route.labels.length > 0 && list(route.labels.map((one) => names.or(`name.${one}`, one))),
    route.zones.length > 0 && t("in_zones", { zones: list(route.zones) }),
    route.hours.length > 0 && hoursText(route.hours),
    route.max_per_minute !== null && t("at_most", { n: route.max_per_minute }),
    route.group_s > 0 && t("grouped", { n: route.group_s }),
  ];
  return parts.filter(Boolean).join(" · ");
}
