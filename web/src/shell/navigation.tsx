/** Where one can go: at the side on a desk, at the bottom on a phone. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { session } from "../api/session";
import { Dialog, MoreIcon, UserIcon } from "../parts";
import { useStore } from "../store";
import { t as common } from "../words/common";
import { t } from "../words/shell";
import { AccountDialog } from "./account_dialog";
import { link } from "./router";
import type { ViewEntry } from "./views";

/** How many views the bottom of a phone has beside “More”. */
const AT_HAND = 4;

export function Navigation({ views, current }: { views: ViewEntry[]; current: string }): JSX.Element {
  const [open, setOpen] = useState<"account" | "more" | null>(null);
  const further = views.slice(AT_HAND);
  const close = () => setOpen(null);
  useEffect(() => {
    addEventListener("hashchange", close); // the Back key of a phone must not change the view below a dialog
    return () => removeEventListener("hashchange", close);
  }, []);
  return (
    <nav class="nav" aria-label={t("navigation")}>
      <a class="brand" href={link("live")}>
        <img src="static/app/icon.svg" alt="" width="24" height="24" />
        <span>Watchpost</span>
      </a>
      <ul class="nav-list">
        {views.map((view, index) => (
          <li key={view.name} class={index >= AT_HAND ? "further" : undefined}>
            <NavigationLink view={view} current={current} />
          </li>
        ))}
        <li class="nearer">
          <button
            type="button"
            class="nav-link"
            aria-haspopup="dialog"
            data-current={further.some(({ name }) => name === current) || undefined}
            onClick={() => setOpen("more")}
          >
            <MoreIcon />
            <span>{common("more")}</span>
          </button>
        </li>
      </ul>
      <AccountButton class="nav-account" onClick={() => setOpen("account")} />
      {open === "account" && <AccountDialog onClose={close} />}
      {open === "more" && (
        <Dialog title={common("more")} onClose={close}>
          <ul class="more-list">
            {further.map((view) => (
              <li key={view.name} onClick={close}>
                <NavigationLink view={view} current={current} />
              </li>
            ))}
            <li>
              <AccountButton onClick={() => setOpen("account")} />
            </li>
          </ul>
        </Dialog>
      )}
    </nav>
  );
}

function NavigationLink({ view, current }: { view: ViewEntry; current: string }): JSX.Element {
  const { name, icon: Icon } = view;
  return (
    <a class="nav-link" href={link(name)} aria-current={name === current ? "page" : undefined}>
      <Icon />
      <span>{t(`nav.${name}`)}</span>
    </a>
  );
}

function AccountButton(props: { onClick: () => void; class?: string }): JSX.Element {
  const current = useStore(session);
  const name = current.kind === "open" ? current.account.name : null;
  return (
    <button type="button" class={`nav-link ${props.class ?? ""}`} aria-haspopup="dialog" onClick={props.onClick}>
      <UserIcon />
      <span>{name ?? t("account")}</span>
    </button>
  );
}
