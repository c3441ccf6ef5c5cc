import type { ComponentChildren, JSX } from "preact";
import { Form } from "./form";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../words/common";
import { Button, IconButton } from "./button";
import { CloseIcon } from "./icons";

export interface DialogProps {
  title: string;
  /** Also by Esc, and by a click beside it. */
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at the bottom. */
  actions?: ComponentChildren;
  /** The content is a form: its submit button, or Enter, calls this. */
  onSubmit?: () => void;
  size?: "small" | "medium" | "large";
}

/** A modal dialog, open while it is rendered. The browser keeps the focus in it and gives it back. */
export function Dialog(props: DialogProps): JSX.Element {
  const { title, onClose, children, actions, onSubmit, size = "small" } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current!;
    element.showModal();
    return () => element.close();
  }, []);
  const content = (
    <>
      <div class="dialog-body">{children}</div>
      {actions && <div class="dialog-actions">{actions}</div>}
    </>
  );
  return (
    <dialog
      ref={dialog}
      class={`dialog ${size}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === dialog.current && onClose()}
    >
      <div class="dialog-frame">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon={CloseIcon} label={t("close")} onClick={onClose} />
        </header>
        {onSubmit ? (
          <Form class="dialog-form" onSubmit={onSubmit}>
            {content}
          </Form>
        ) : (
          content
        )}
      </div>
    </dialog>
  );
}

export interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  /** What the button says, such as “Delete”. */
  confirm: string;
  danger?: boolean;
  busy?: boolean;
  problem?: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks once more before something that cannot be undone. */
export function Confirm(props: ConfirmProps): JSX.Element {
  const { title, children, confirm, danger, busy, problem, onConfirm, onClose } = props;
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={onConfirm}
      actions={
        <>
          <Button kind="quiet" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button type="submit" kind={danger ? "danger" : "primary"} busy={busy}>
            {confirm}
          </Button>
        </>
      }
    >
      {children}
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </Dialog>
  );
}
