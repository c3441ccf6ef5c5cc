/** One event: its clip, what is known of it, and what one can do. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { at, call } from "../api/client";
import { useAction } from "../api/polling";
import { useRights } from "../api/session";
import {
  BackIcon,
  Button,
  ButtonLink,
  DownIcon,
  DownloadIcon,
  Field,
  FlagIcon,
  Form,
  IconButton,
  LiveIcon,
  RecordingsIcon,
  toast,
  UpIcon,
} from "../parts";
import { link } from "../shell/router";
import { dateTime, number, percent, withSeconds } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/events";
import { Clip } from "./clip";
import { labelName, plateOf, type StoredEvent, typeName } from "./event";

export interface DetailProps {
  event: StoredEvent;
  name: string;
  onChange: (event: StoredEvent) => void;
  onClose: () => void;
  /** Go to the event below or above; undefined at the end of the list. */
  onNext?: () => void;
  onPrevious?: () => void;
}

export function change(event: StoredEvent, body: { flagged?: boolean; comment?: string | null }): Promise<StoredEvent> {
  return call<StoredEvent>(`api/events/${event.id}`, { method: "PATCH", body });
}

export function EventDetail(props: DetailProps): JSX.Element {
  const { event, name, onChange, onClose, onNext, onPrevious } = props;
  const may = useRights();
  const flagging = useAction();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const mayChange = may("control", event.camera_id);
  const mayExport = may("export", event.camera_id);
  return (
    <article class="event" aria-labelledby="event-title">
      <header class="event-head">
        <IconButton class="event-back" icon={BackIcon} label={t("close")} onClick={onClose} />
        <div class="event-title">
          <h2 id="event-title" ref={heading} tabIndex={-1}>
            {typeName(event.event)}
          </h2>
          <p class="hint">
            {withSeconds(event.ts)} · {name}
          </p>
        </div>
        <div class="event-steps">
          <IconButton icon={UpIcon} label={t("previous")} disabled={!onPrevious} onClick={onPrevious} />
          <IconButton icon={DownIcon} label={t("next")} disabled={!onNext} onClick={onNext} />
        </div>
      </header>
      <Clip event={event} />
      <div class="event-actions">
        {mayChange && (
          <Button
            icon={FlagIcon}
            pressed={event.flagged === true}
            busy={flagging.busy}
            title={t("flagged_hint")}
            onClick={() => void flagging.run(async () => onChange(await change(event, { flagged: !event.flagged })))}
          >
            {event.flagged ? t("flagged") : t("flag")}
          </Button>
        )}
        <ButtonLink icon={RecordingsIcon} href={link("recordings", event.camera_id, { at: String(event.ts) })}>
          {t("timeline")}
        </ButtonLink>
        <ButtonLink icon={LiveIcon} href={link("live", event.camera_id)}>
          {t("live")}
        </ButtonLink>
        {mayExport && event.clip && (
          <ButtonLink icon={DownloadIcon} href={at(event.clip).href} download={`${event.camera_id}-${event.id}.mp4`}>
            {t("download_clip")}
          </ButtonLink>
        )}
        {mayExport && event.snapshot && (
          <ButtonLink icon={DownloadIcon} href={at(event.snapshot).href} download={`${event.camera_id}-${event.id}.jpg`}>
            {t("download_snapshot")}
          </ButtonLink>
        )}
      </div>
      {flagging.problem && (
        <p class="problem" role="alert">
          {flagging.problem}
        </p>
      )}
      <Facts event={event} name={name} />
      <CommentBox key={event.id} event={event} may={mayChange} onChange={onChange} />
    </article>
  );
}

function Facts({ event, name }: { event: StoredEvent; name: string }): JSX.Element {
  const { details, confidence, duration_s: duration, track_id: track } = event;
  const plate = plateOf(event);
  const facts: [string, string | JSX.Element | null][] = [
    [t("camera"), <a href={link("events", { camera: event.camera_id })}>{name}</a>],
    [t("plate"), plate ? <a class="code" href={link("events", { plate })}>{plate}</a> : null],
    [t("label"), typeof details.label === "string" ? labelName(details.label) : null],
    [t("zone"), typeof details.zone === "string" ? details.zone : null],
    [t("line"), typeof details.line === "string" ? details.line : null],
    [t("confidence"), confidence === null ? null : percent(confidence)],
    [t("duration"), duration === null ? null : t("seconds", { n: number(duration, duration < 10 ? 1 : 0) })],
    [t("track"), track === null ? null : `#${track}`],
  ];
  return (
    <dl class="facts">
      {facts.map(
        ([label, value]) =>
          value !== null && (
            <>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </>
          ),
      )}
    </dl>
  );
}

function CommentBox(props: {
  event: StoredEvent;
  may: boolean;
  onChange: (event: StoredEvent) => void;
}): JSX.Element | null {
  const { event, may, onChange } = props;
  const { comment } = event;
  const [text, setText] = useState(comment?.text ?? "");
  const saving = useAction();
  if (!may && !comment) return null;
  const save = (value: string) =>
    saving.run(async () => {
      onChange(await change(event, { comment: value || null }));
      setText(value);
      toast(common("saved"));
    });
  const written = comment && t("comment_by", { who: comment.by || t("anonymous"), when: dateTime(comment.ts) });
  if (!may) {
    return (
      <div class="event-comment">
        <h3>{t("comment")}</h3>
        <p>{comment!.text}</p>
        <p class="hint">{written}</p>
      </div>
    );
  }
  return (
    <Form class="event-comment" onSubmit={() => save(text.trim())}>
      <Field label={t("comment")} hint={written ?? t("comment_hint")} problem={saving.problem}>
        {(attributes) => (
          <textarea
            {...attributes}
            rows={2}
            maxLength={2000}
            value={text}
            onInput={(input) => setText(input.currentTarget.value)}
          />
        )}
      </Field>
      <div class="event-comment-actions">
        <Button small type="submit" busy={saving.busy} disabled={text.trim() === (comment?.text ?? "")}>
          {common("save")}
        </Button>
        {comment && (
          <Button small kind="quiet" disabled={saving.busy} onClick={() => void save("")}>
            {t("comment_remove")}
          </Button>
        )}
      </div>
    </Form>
  );
}
