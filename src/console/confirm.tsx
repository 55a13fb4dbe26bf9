/** The question before something starts that says so (`"confirm": true`). Who only presses Enter again has not said yes. */
import { useRef } from "preact/hooks";
import { t } from "./text.ts";

interface ConfirmProps {
  readonly name: string;
  /** What it is called with, as it may be shown. */
  readonly args: string;
  readonly onAnswer: (yes: boolean) => void;
}

export function Confirm({ name, args, onAnswer }: ConfirmProps) {
  const box = useRef<HTMLDialogElement>(null);
  /** At once: what is pressed next is pressed here. */
  const open = (made: HTMLDialogElement | null): void => {
    box.current = made;
    if (made?.open === false) made.showModal();
  };
  const answer = (yes: boolean): void => {
    // It gives the focus back.
    box.current?.close();
    onAnswer(yes);
  };
  return (
    <dialog
      ref={open}
      aria-labelledby="question"
      onClose={({ currentTarget }) => {
        // By Esc. It comes late: of one that was answered already there may be the next by now.
        if (currentTarget.isConnected) onAnswer(false);
      }}
    >
      <h2 id="question">{t("confirm", name)}</h2>
      {args !== "{}" && <pre class="reply">{args}</pre>}
      <div class="buttons">
        <button type="button" autofocus onClick={() => answer(false)}>
          {t("cancel")}
        </button>
        <button type="button" class="danger" onClick={() => answer(true)}>
          {t("run")}
        </button>
      </div>
    </dialog>
  );
}
