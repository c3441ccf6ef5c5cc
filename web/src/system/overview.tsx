/** Whether all is well, what the work costs, and what is stored. */

import type { JSX } from "preact";
import { usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { Bar, Bars, ButtonLink, Card, DownloadIcon, Problem, Spinner, StateMark } from "../parts";
import { bytes, number } from "../words";
import { t } from "../words/system";
import { BACKUP, STATUS, type SystemStatus } from "./api";
import { Facts } from "./facts";
import { useLoad, type Load } from "./load";

const EVERY_MS = 3000;

export function Overview(): JSX.Element {
  const { data: status, problem, refresh } = usePolled<SystemStatus>(STATUS, EVERY_MS);
  const load = useLoad(status);
  if (!status) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  return (
    <>
      {problem && <Problem text={problem} onRetry={refresh} />}
      <div class="system-grid">
        <Health status={status} load={load} />
        <Work load={load} cpus={status.machine.cpus} />
        <Disk disk={status.disk} />
        <Database status={status} />
        <Networks status={status} />
        <Versions status={status} />
      </div>
    </>
  );
}

function Health({ status, load }: { status: SystemStatus; load: Load | null }): JSX.Element {
  const { issues, machine } = status;
  const running = status.cameras.filter(({ state }) => state === "running").length;
  return (
    <Card title={t("health")}>
      {issues.length === 0 ? (
        <StateMark state="good" label={t("all_well")} />
      ) : (
        <ul class="system-issues">
          {issues.map(({ what, reason }) => (
            <li key={what}>
              <StateMark state="bad" label={what} /> {reason}
            </li>
          ))}
        </ul>
      )}
      <Facts
        facts={[
          [t("up"), upText(status.now_ts - status.started_ts)],
          [t("cameras"), t("running_of", { n: running, all: status.cameras.length })],
          [t("cpu"), load ? t("cores_of", { cores: number(load.total, 1), all: machine.cpus }) : "…"],
          [t("machine_load"), machine.load_1m === null ? "–" : number(machine.load_1m, 1)],
          [t("memory"), machine.memory_bytes === null ? "–" : bytes(machine.memory_bytes)],
        ]}
      />
    </Card>
  );
}

function upText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return days > 0 ? t("up_days", { days, hours }) : t("up_hours", { hours, minutes });
}

function Work({ load, cpus }: { load: Load | null; cpus: number }): JSX.Element {
  return (
    <Card title={t("work")}>
      {!load ? (
        <Spinner label={t("measuring")} />
      ) : (
        <Bars
          label={t("work")}
          most={Math.max(cpus, load.total)}
          rows={load.parts
            .filter(({ cores }) => cores >= 0.005)
            .map(({ part, cores }) => ({
              name: t.or(`part.${part}`, part),
              value: cores,
              text: t("cores", { cores: number(cores, 2) }),
            }))}
        />
      )}
      <p class="hint">{t("work_hint")}</p>
    </Card>
  );
}

function Disk({ disk }: { disk: SystemStatus["disk"] }): JSX.Element {
  const { size, free, floor, stored, limit } = disk;
  const low = free !== null && free < 2 * floor;
  return (
    <Card title={t("disk")}>
      {size !== null && free !== null && (
        <>
          <Bar
            label={t("disk")}
            share={(size - free) / size}
            mark={(size - floor) / size}
            tone={free < floor ? "bad" : low ? "warn" : "good"}
          />
          <Facts
            facts={[
              [t("free"), t("free_of", { free: bytes(free), size: bytes(size) })],
              [t("floor"), bytes(floor)],
              [t("stored"), limit === null ? bytes(stored) : t("free_of", { free: bytes(stored), size: bytes(limit) })],
            ]}
          />
          {free < floor && <p class="problem">{t("disk_full")}</p>}
        </>
      )}
      {free === null && <p class="problem">{t("disk_unreadable")}</p>}
    </Card>
  );
}

function Database({ status }: { status: SystemStatus }): JSX.Element {
  const may = useRights();
  const { kind, bytes: size } = status.database;
  const sqlite = kind === "sqlite";
  return (
    <Card title={t("database")}>
      <Facts
        facts={[
          [t("kind"), sqlite ? "SQLite" : "PostgreSQL"],
          ...(size === null ? [] : [[t("size"), bytes(size)] as const]),
          [t("events_waiting"), number(status.events_waiting)],
          ...(status.events_lost > 0 ? [[t("events_lost"), number(status.events_lost)] as const] : []),
        ]}
      />
      {may("administer", "*") && (
        <>
          <p class="hint">{t(sqlite ? "backup_hint" : "backup_elsewhere")}</p>
          {sqlite && (
            <p>
              <ButtonLink href={BACKUP} icon={DownloadIcon} download>{t("backup")}</ButtonLink>
            </p>
          )}
        </>
      )}
    </Card>
  );
}

function Networks({ status }: { status: SystemStatus }): JSX.Element {
  return (
    <Card title={t("networks")}>
      <ul class="rows">
        {status.networks.map((one) => (
          <li key={one.purpose}>
            <span>
              {t.or(`network.${one.purpose}`, one.purpose)}
              <span class="quiet-text system-below">{one.device}</span>
            </span>
            {one.trouble === null ? (
              <StateMark state="good" label={one.waiting > 0 ? t("waiting", { n: one.waiting }) : t("works")} />
            ) : (
              <StateMark state={one.name === null ? "idle" : "bad"} label={one.trouble} />
            )}
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Versions({ status }: { status: SystemStatus }): JSX.Element {
  const { machine, packages } = status;
  return (
    <Card title={t("versions")}>
      <Facts
        facts={[
          ["Watchpost", status.version],
          [t("system"), machine.system],
          ["Python", machine.python],
          ...Object.entries(packages),
        ]}
      />
    </Card>
  );
}
