/** One reading beside its crop: corrected and verified without a mouse. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { at } from "../api/client";
import { useAction } from "../api/polling";
import { CheckIcon, IconButton, StateMark } from "../parts";
import { dateTime, percent } from "../words";
import { t } from "../words/plates";
import { alternativesOf, changePlate, cropPath, secondsOf, type Plate } from "./api";

const SURE = 0.8;
const INPUT = "input.plate-number";

export interface PlateRowProps {
  plate: Plate;
  /** Where the details are. */
  href: string;
  onChange: (plate: Plate) => void;
}

/**
 * Enter saves what was typed as verified, and goes on to the next row; Esc takes it back; the arrows
 * go to the rows above and below.
 */
export function PlateRow({ plate, href, onChange }: PlateRowProps): JSX.Element {
  const [text, setText] = useState(plate.plate_number);
  const { busy, problem, run, clear } = useAction();
  useEffect(() => setText(plate.plate_number), [plate.plate_number]);
  const save = (number: string) =>
    run(async () => {
      const changed = number.trim() !== plate.plate_number;
      onChange(await changePlate(plate.id, { is_verified: true, ...(changed && { plate_number: number.trim() }) }));
    });
  const onKeyDown = async (event: KeyboardEvent) => {
    const input = event.currentTarget as HTMLInputElement;
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (await save(text)) step(input, 1);
    } else if (event.key === "Escape" && text !== plate.plate_number) {
      event.preventDefault();
      clear();
      setText(plate.plate_number);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(input, event.key === "ArrowDown" ? 1 : -1);
    }
  };
  const others = alternativesOf(plate);
  return (
    <li class="plate-row">
      <a class="plate-crop" href={href} aria-label={t("details_of", { number: plate.plate_number || t("unread") })}>
        <img src={at(cropPath(plate.id)).href} alt="" loading="lazy" />
      </a>
      <div class="plate-reading">
        <input
          class="plate-number"
          type="text"
          value={text}
          placeholder={t("unread")}
          aria-label={t("number_of", { time: dateTime(secondsOf(plate)) })}
          aria-invalid={problem ? true : undefined}
          maxLength={64}
          spellcheck={false}
          autocapitalize="characters"
          autocomplete="off"
          onInput={(event) => setText(event.currentTarget.value)}
          onFocus={(event) => event.currentTarget.select()}
          onKeyDown={onKeyDown}
        />
        <IconButton
          icon={CheckIcon}
          label={t(text.trim() === plate.plate_number ? "verify" : "save_correction")}
          pressed={plate.is_verified && text.trim() === plate.plate_number}
          disabled={busy}
          onClick={() => save(text)}
        />
      </div>
      <div class="plate-facts">
        <StateMark
          state={plate.is_verified ? "good" : plate.confidence >= SURE ? "idle" : "warn"}
          label={plate.is_verified ? t("verified") : percent(plate.confidence)}
        />
        <span class="quiet-text">{dateTime(secondsOf(plate))}</span>
      </div>
      {others.length > 0 && !plate.is_verified && (
        <div class="plate-others">
          <span class="quiet-text">{t("or")}</span>
          {others.slice(0, 3).map((other) => (
            <button type="button" class="button small" key={other} onClick={() => setText(other)}>
              {other}
            </button>
          ))}
        </div>
      )}
      {problem && <p class="problem plate-problem" role="alert">{problem}</p>}
    </li>
  );
}

/** The input of the row above or below, or none at the end. */
function step(input: HTMLInputElement, by: 1 | -1): void {
  const all = [...document.querySelectorAll<HTMLInputElement>(INPUT)];
  all[all.indexOf(input) + by]?.focus();
}
