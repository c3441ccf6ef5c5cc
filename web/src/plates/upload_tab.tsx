/** Photos to read: dropped, chosen, pasted, or taken with the phone's camera. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button, CameraIcon, Card, StateMark, UploadIcon, type Tone } from "../parts";
import { link } from "../shell/router";
import { useStore } from "../store";
import { t as common } from "../words/common";
import { t } from "../words/plates";
import { PlateRow } from "./plate_row";
import { add, canRetry, changePlateOf, clear, retry, uploads, type Upload, type UploadState } from "./uploads";

const ACCEPT = "image/jpeg,image/png,image/webp,image/bmp";
const TONES: Record<UploadState, Tone> = { waiting: "idle", reading: "warn", done: "good", failed: "bad" };

export function UploadTab(): JSX.Element {
  const all = useStore(uploads);
  const done = all.filter(({ state }) => state === "done" || state === "failed").length;
  return (
    <>
      <DropZone />
      {all.length > 0 && (
        <Card
          title={t("progress", { done, n: all.length })}
          actions={<Button small disabled={done === 0} onClick={clear}>{t("clear")}</Button>}
        >
          <p class="hint plates-keys">{t("keys")}</p>
          <ol class="uploads">
            {all.map((one) => (
              <Row key={one.id} upload={one} />
            ))}
          </ol>
        </Card>
      )}
    </>
  );
}

function DropZone(): JSX.Element {
  const [over, setOver] = useState(false);
  const chosen = useRef<HTMLInputElement>(null);
  const taken = useRef<HTMLInputElement>(null);
  const take = (input: HTMLInputElement) => {
    add(input.files ?? []);
    input.value = ""; // the same file can be chosen again
  };
  useEffect(() => {
    const onPaste = ({ clipboardData }: ClipboardEvent) => add(clipboardData?.files ?? []);
    const stay = (event: DragEvent) => event.preventDefault(); // else a photo that misses the zone replaces the page
    addEventListener("paste", onPaste);
    addEventListener("dragover", stay);
    addEventListener("drop", stay);
    return () => {
      removeEventListener("paste", onPaste);
      removeEventListener("dragover", stay);
      removeEventListener("drop", stay);
    };
  }, []);
  return (
    <div
      class={`drop-zone${over ? " over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        add(event.dataTransfer?.files ?? []);
      }}
    >
      <p>{t("drop")}</p>
      <div class="drop-buttons">
        <Button kind="primary" icon={UploadIcon} onClick={() => chosen.current?.click()}>{t("choose")}</Button>
        <Button icon={CameraIcon} class="take-photo" onClick={() => taken.current?.click()}>{t("take")}</Button>
      </div>
      <p class="hint">{t("formats")}</p>
      <input ref={chosen} class="unseen" type="file" accept={ACCEPT} multiple tabIndex={-1} aria-label={t("choose")} onChange={(event) => take(event.currentTarget)} />
      <input ref={taken} class="unseen" type="file" accept="image/*" capture="environment" tabIndex={-1} aria-label={t("take")} onChange={(event) => take(event.currentTarget)} />
    </div>
  );
}

function Row({ upload }: { upload: Upload }): JSX.Element {
  const { id, name, state, plates, problem } = upload;
  return (
    <li>
      <div class="upload-head">
        <span class="upload-name">{name}</span>
        <StateMark state={TONES[state]} label={state === "done" ? t("n_plates", { n: plates.length }) : t(`upload.${state}`)} />
        {state === "failed" && canRetry(id) && <Button small onClick={() => retry(id)}>{common("retry")}</Button>}
      </div>
      {problem && <p class="problem">{problem}</p>}
      {plates.length > 0 && (
        <ul class="plate-rows">
          {plates.map((plate) => (
            <PlateRow
              key={plate.id}
              plate={plate}
              href={link("plates", "upload", `${plate.id}`)}
              onChange={(next) => changePlateOf(id, next)}
            />
          ))}
        </ul>
      )}
    </li>
  );
}
