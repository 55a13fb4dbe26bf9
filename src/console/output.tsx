/** The output of a task: lines as they come, and what one does with them. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Copy } from "./copy.tsx";
import { LogView } from "./log-view.ts";
import { t } from "./text.ts";

/** ms between what is said to who hears the page. */
const CALM = 5_000;

export interface OutputProps {
  /** Where lines go; given once there is a place for them. */
  readonly onReady: (view: Pick<LogView, "add">) => void;
  readonly name: string;
}

export function Output({ onReady, name }: OutputProps) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<LogView>(undefined);
  const [follows, setFollows] = useState(true);
  const [wraps, setWraps] = useState(true);
  const [times, setTimes] = useState(false);
  const [filter, setFilter] = useState("");
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (!box.current) return;
    const made = new LogView(box.current, setFollows);
    view.current = made;
    onReady(made);
    const timer = setInterval(() => setCount(made.count), CALM / 20);
    return () => {
      clearInterval(timer);
      made.close();
    };
  }, []);
  const text = (): string => view.current?.text() ?? "";
  return (
    <section class="output">
      <div class="bar">
        <input
          type="search"
          data-search
          value={filter}
          placeholder={t("filter")}
          aria-label={t("filter")}
          onInput={({ currentTarget }) => {
            setFilter(currentTarget.value);
            if (view.current) view.current.filter = currentTarget.value;
          }}
        />
        <span class="quiet grow">{inWords(count)}</span>
        <Toggle on={wraps} set={setWraps} label={t("wrap")} />
        <Toggle on={times} set={setTimes} label={t("times")} />
        <Copy text={text} />
        <button type="button" class="small" onClick={() => download(`${name}.txt`, text())}>
          {t("download")}
        </button>
      </div>
      <div class="log-frame">
        <div
          ref={box}
          class={`log${wraps ? " wraps" : ""}${times ? " times" : ""}`}
          role="log"
          aria-live="off"
          aria-label={t("output")}
          data-empty={t("empty")}
          tabIndex={0}
        />
        {!follows && (
          <button type="button" class="to-end" onClick={() => view.current?.follow()}>
            ↓ {t("toEnd")}
          </button>
        )}
      </div>
      <Said count={count} />
    </section>
  );
}

const inWords = (count: number): string => (count === 1 ? t("line") : t("lines", count));

function Toggle({ on, set, label }: { on: boolean; set: (on: boolean) => void; label: string }) {
  return (
    <button type="button" class="small" aria-pressed={on} onClick={() => set(!on)}>
      {label}
    </button>
  );
}

/** Once in a while, and not each line. */
function Said({ count }: { count: number }) {
  const [said, setSaid] = useState(0);
  const now = useRef(count);
  now.current = count;
  useEffect(() => {
    const timer = setInterval(() => setSaid(now.current), CALM);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="unseen" role="status">
      {said > 0 && inWords(said)}
    </p>
  );
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name.replace(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
