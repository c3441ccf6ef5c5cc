/** Makes, changes and deletes layouts of one's own. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Camera } from "../api/cameras";
import { Button, Dialog, DownIcon, IconButton, Segments, SelectField, TextField, UpIcon } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/live";
import { type Layout, SIZES, type Size, type WallChoice } from "./layouts";

export interface LayoutDialogProps {
  cameras: Camera[];
  choice: WallChoice;
  change: (changes: Partial<WallChoice>) => void;
  onClose: () => void;
}

const NEW = "";

export function LayoutDialog({ cameras, choice, change, onClose }: LayoutDialogProps): JSX.Element {
  const existing = choice.own.find(({ name }) => name === choice.chosen);
  const [edited, setEdited] = useState(existing?.name ?? NEW);
  const [draft, setDraft] = useState<Layout>(existing ?? fresh());
  const others = choice.own.filter(({ name }) => name !== edited);
  const taken = others.some(({ name }) => name === draft.name.trim());

  const edit = (name: string) => {
    setEdited(name);
    setDraft(choice.own.find((layout) => layout.name === name) ?? fresh());
  };
  const save = () => {
    if (taken) return;
    const layout = { ...draft, name: draft.name.trim() };
    change({ own: [...others, layout], chosen: layout.name });
    onClose();
  };
  const remove = () => {
    change({ own: others, chosen: null });
    onClose();
  };

  return (
    <Dialog
      title={t("edit_layouts")}
      onClose={onClose}
      onSubmit={save}
      actions={
        <>
          {edited !== NEW && <Button kind="quiet" onClick={remove}>{common("delete")}</Button>}
          <Button type="submit" kind="primary" disabled={draft.cameras.length === 0}>{common("save")}</Button>
        </>
      }
    >
      {choice.own.length > 0 && (
        <SelectField
          label={t("layout")}
          value={edited}
          options={[{ value: NEW, label: t("new_layout") }, ...choice.own.map(({ name }) => ({ value: name, label: name }))]}
          onChange={edit}
        />
      )}
      <TextField
        label={t("name")}
        value={draft.name}
        onInput={(name) => setDraft({ ...draft, name })}
        required
        maxLength={40}
        problem={taken ? t("name_taken") : undefined}
      />
      <div class="field">
        <span class="label">{t("size")}</span>
        <Segments
          label={t("size")}
          value={String(draft.size)}
          options={SIZES.map((size) => ({ value: String(size), label: String(size) }))}
          onChange={(size) => setDraft({ ...draft, size: Number(size) as Size })}
        />
      </div>
      <CameraChoice cameras={cameras} chosen={draft.cameras} onChange={(chosen) => setDraft({ ...draft, cameras: chosen })} />
    </Dialog>
  );
}

function fresh(): Layout {
  return { name: "", size: 4, cameras: [] };
}

/** The chosen cameras first, in their order, then the others. */
function CameraChoice(props: { cameras: Camera[]; chosen: string[]; onChange: (chosen: string[]) => void }): JSX.Element {
  const { cameras, chosen, onChange } = props;
  const names = new Map(cameras.map(({ camera_id: id, name }) => [id, name]));
  const rest = [...names.keys()].filter((id) => !chosen.includes(id));
  const move = (index: number, step: number) => {
    const next = [...chosen];
    [next[index], next[index + step]] = [next[index + step]!, next[index]!];
    onChange(next);
  };
  const toggle = (id: string, on: boolean) => onChange(on ? [...chosen, id] : chosen.filter((one) => one !== id));
  return (
    <fieldset class="layout-cameras">
      <legend>{t("cameras")}</legend>
      <ul class="rows">
        {[...chosen, ...rest].map((id, index) => {
          const name = names.get(id) ?? id;
          const position = chosen.indexOf(id);
          return (
            <li key={id}>
              <label class="check">
                <input type="checkbox" checked={position >= 0} onChange={(event) => toggle(id, event.currentTarget.checked)} />
                <span>{name}</span>
              </label>
              {position >= 0 && (
                <span class="pages">
                  <IconButton icon={UpIcon} label={t("up", { name })} disabled={index === 0} onClick={() => move(position, -1)} />
                  <IconButton icon={DownIcon} label={t("down", { name })} disabled={index === chosen.length - 1} onClick={() => move(position, 1)} />
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </fieldset>
  );
}
