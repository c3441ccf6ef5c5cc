/** The watch-list: numbers that raise an alarm when they pass, or that may pass. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import { AddIcon, Button, Card, Confirm, DeleteIcon, Dialog, Empty, IconButton, PlateIcon, Problem, Segments, Spinner, StateMark, TextField } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/plates";
import { WATCHLIST, type WatchEntry } from "./api";

const EVERY_MS = 15_000;
const ACTIONS = ["alert", "allow"] as const;

export function Watchlist(): JSX.Element {
  const { data: entries, problem, refresh: retry } = usePolled<WatchEntry[]>(WATCHLIST, EVERY_MS);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<WatchEntry | null>(null);
  const { busy, problem: refused, run, clear } = useAction();
  if (!entries) return problem ? <Problem text={problem} onRetry={retry} /> : <Spinner />;
  const add = <Button kind="primary" icon={AddIcon} onClick={() => setAdding(true)}>{t("watch")}</Button>;
  const close = () => {
    clear();
    setRemoving(null);
  };
  const remove = async ({ id }: WatchEntry) => {
    if (await run(() => call(`${WATCHLIST}/${id}`, { method: "DELETE" }))) close();
    refresh(WATCHLIST);
  };
  return (
    <>
      {entries.length === 0 ? (
        <Empty icon={PlateIcon} title={t("watch_none")} actions={add}>{t("watch_none_text")}</Empty>
      ) : (
        <Card title={t("tab.watchlist")} actions={add}>
          <ul class="rows">
            {entries.map((entry) => (
              <li key={entry.id}>
                <span>
                  <span class="code plate-watched">{entry.number}</span>
                  <span class="quiet-text">{entry.note}</span>
                </span>
                <span class="plate-actions">
                  <StateMark state={entry.action === "alert" ? "bad" : "good"} label={t(`action.${entry.action}`)} />
                  <IconButton icon={DeleteIcon} label={t("unwatch", { number: entry.number })} onClick={() => setRemoving(entry)} />
                </span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {adding && <WatchForm onClose={() => setAdding(false)} />}
      {removing && (
        <Confirm title={t("unwatch", { number: removing.number })} confirm={common("delete")} danger busy={busy} problem={refused} onConfirm={() => remove(removing)} onClose={close}>
          <p>{t("unwatch_text")}</p>
        </Confirm>
      )}
    </>
  );
}

/** The dialog that puts a number on the list. */
export function WatchForm({ number: first = "", onClose }: { number?: string; onClose: () => void }): JSX.Element {
  const [number, setNumber] = useState(first);
  const [note, setNote] = useState("");
  const [action, setAction] = useState<(typeof ACTIONS)[number]>("alert");
  const { busy, problem, run } = useAction();
  const save = async () => {
    if (!(await run(() => call(WATCHLIST, { body: { number, note, action } })))) return;
    refresh(WATCHLIST);
    onClose();
  };
  return (
    <Dialog
      title={t("watch")}
      onClose={onClose}
      onSubmit={save}
      actions={
        <>
          <Button kind="quiet" onClick={onClose}>{common("cancel")}</Button>
          <Button type="submit" kind="primary" busy={busy}>{common("add")}</Button>
        </>
      }
    >
      <TextField label={t("number")} hint={t("wildcards")} value={number} onInput={setNumber} required maxLength={64} autoFocus literal problem={problem} />
      <TextField label={t("note")} value={note} onInput={setNote} maxLength={1000} />
      <Segments label={t("action")} value={action} options={ACTIONS.map((value) => ({ value, label: t(`action.${value}`) }))} onChange={setAction} />
      <p class="hint">{t(`action_hint.${action}`)}</p>
    </Dialog>
  );
}
