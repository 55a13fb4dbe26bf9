/** A button that copies a text, and says that it has. */
import { useState } from "preact/hooks";
import { t } from "./text.ts";

export function Copy({ text, label }: { text: () => string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text());
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()}>
      {done ? t("copied") : (label ?? t("copy"))}
    </button>
  );
}

/** Over plain http to another machine browsers have no clipboard for pages, but for what is selected. */
async function copyText(text: string): Promise<void> {
  if (window.isSecureContext) return await navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
