/** A button that copies a text, and says that it has. */
import { useState } from "preact/hooks";
import { t } from "./text.ts";

export function Copy({ text, label }: { text: () => string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    if (!(await copyText(text()))) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()}>
      {done ? t("copied") : (label ?? t("copy"))}
    </button>
  );
}

/**
 * Over plain http to another machine browsers have no clipboard for pages, and in a frame of another page it may be refused: but for
 * what is selected. Whether that was possible.
 */
async function copyText(text: string): Promise<boolean> {
  try {
    if (window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
  }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  return isDone;
}
