/** The addresses of a camera, each with a button to copy it. */

import type { JSX } from "preact";
import { at } from "../api/client";
import { copy, CopyIcon, Dialog, Field, IconButton } from "../parts";
import { link } from "../shell/router";
import { t as common } from "../words/common";
import { t } from "../words/live";

const HERE = /^(localhost|127(\.\d+){3}|\[::1\])$/;

export function Share({ id, onClose }: { id: string; onClose: () => void }): JSX.Element {
  const page = at("");
  page.hash = link("live", id);
  const video = at(`camera/${encodeURIComponent(id)}/mjpeg`);
  return (
    <Dialog title={t("share")} onClose={onClose}>
      <Address label={t("share_page")} url={page.href} />
      <Address label={t("share_video")} url={video.href} />
      <p class="hint">
        {HERE.test(location.hostname) && t("share_localhost", { host: location.hostname })} {t("share_token")}
      </p>
    </Dialog>
  );
}

function Address({ label, url }: { label: string; url: string }): JSX.Element {
  return (
    <Field label={label}>
      {(attributes) => (
        <span class="address">
          <input {...attributes} type="text" readOnly value={url} onFocus={(event) => event.currentTarget.select()} />
          <IconButton icon={CopyIcon} label={`${common("copy")}: ${label}`} onClick={() => copy(url)} />
        </span>
      )}
    </Field>
  );
}
