/** What becomes of a call to boards, one by one. */
import { useEffect, useState } from "preact/hooks";
import { plainOf } from "./ansi.ts";
import { generation } from "./connection.ts";
import { type FleetRun, type Result, RESULTS, type Row } from "./fleet-run.ts";
import { inOneLine, isObject } from "./json.ts";
import { outcomeOf } from "./outcome.ts";
import { t } from "./text.ts";

/** Rows that are shown. */
const MOST = 200;
const SHOWN = ["all", "ok", "notOk"] as const;
type Shown = (typeof SHOWN)[number];

/** Drawn once a frame, however much comes. */
export function useRun(run: FleetRun): void {
  const [, draw] = useState(0);
  useEffect(() => {
    let frame: number | undefined;
    const heard = (): void => {
      frame ??= requestAnimationFrame(() => {
        frame = undefined;
        draw((before) => before + 1);
      });
    };
    run.heard = heard;
    // What came since it was drawn first.
    heard();
    return () => {
      run.heard = undefined;
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }, [run]);
  useEffect(() => run.look(), [run, generation.value]);
}

export function FleetResults({ run }: { run: FleetRun }) {
  useRun(run);
  const [shown, setShown] = useState<Shown>("all");
  const rows = [...run.rows.values()]
    .filter(({ result }) => shown === "all" || (result === "ok") === (shown === "ok"))
    .sort((a, b) => (a.board < b.board ? -1 : 1));
  const all = run.boards ?? 0;
  return (
    <section aria-label={t("results")}>
      <div class="title">
        <h2>
          <code>{run.method}</code> → {run.to}
        </h2>
        <div class="buttons">
          {run.rows.size > 1 && (
            <select
              class="small"
              aria-label={t("outcome")}
              value={shown}
              onChange={({ currentTarget }) =>
                setShown(SHOWN.find((one) => one === currentTarget.value) ?? "all")
              }
            >
              {SHOWN.map((one) => (
                <option key={one} value={one}>
                  {t(one)}
                </option>
              ))}
            </select>
          )}
          {!run.isOver && (
            <button
              type="button"
              class="danger"
              disabled={run.boards === undefined || run.isStopping}
              onClick={() => run.stop()}
            >
              {t(run.isStopping ? "stops" : "stop")}
            </button>
          )}
        </div>
      </div>
      <div role="status">
        <p class="counts">
          {RESULTS.filter((result) => run.counts[result] > 0).map((result) => (
            <span key={result} class={`chip ${COLOURS[result]}`}>
              {t("fleetCount", t(`board_${result}`), run.counts[result])}
            </span>
          ))}
          {!run.isOver && (
            <span class="chip running">{t("fleetCount", t("running"), all - run.done)}</span>
          )}
        </p>
        {run.info !== "" && <p class={run.boards === undefined ? "fault" : "notice"}>{run.info}</p>}
        {run.isOver && run.boards !== undefined && run.done < all && run.info === "" && (
          <p class="notice">{t("fleetLost")}</p>
        )}
      </div>
      {!run.isOver && all > 1 && (
        <p class="progress">
          <progress max={all} value={run.done} aria-label={t("progress")} />
          <span>
            {run.done} / {all}
          </span>
        </p>
      )}
      {rows.length > 0 && (
        <ul class="list card results">
          {rows.slice(0, MOST).map((row) => (
            <li key={row.board}>
              <BoardRow row={row} open={run.rows.size === 1} />
            </li>
          ))}
        </ul>
      )}
      {rows.length > MOST && <p class="quiet">{t("moreBoards", rows.length - MOST)}</p>}
    </section>
  );
}

const COLOURS: Readonly<Record<Result, string>> = {
  ...{ ok: "good", error: "bad", refused: "bad" },
  ...{ timeout: "stopped", offline: "" },
};

function BoardRow({ row, open }: { row: Row; open: boolean }) {
  const { board, result, lines, more } = row;
  const said = plainOf(wordsOf(row));
  const head = (
    <>
      {result === undefined ? (
        <span class="chip running">{t("running")}</span>
      ) : (
        <span class={`chip ${COLOURS[result]}`}>{t(`board_${result}`)}</span>
      )}
      <code>{board}</code>
      <span class="info">{said || lines.at(-1)?.text}</span>
    </>
  );
  if (lines.length === 0) return <div class="board-row">{head}</div>;
  return (
    <details open={open}>
      <summary class="board-row">{head}</summary>
      <div class="trial-output" tabIndex={0} role="region" aria-label={`${t("output")}: ${board}`}>
        {more > 0 && <span class="quiet">{t("linesBefore", more)}</span>}
        {lines.map(({ text, from }, i) => (
          <div key={i} class={`row ${from}`}>
            {text}
          </div>
        ))}
      </div>
    </details>
  );
}

/** What it has said, or how its task has ended where that went wrong. */
function wordsOf({ result, info, response }: Row): string {
  if (info !== "") return info;
  if (!isObject(response)) return response === undefined ? "" : inOneLine(response);
  const { status } = response;
  if (isObject(status)) return result === "ok" ? "" : outcomeOf(status).words;
  return inOneLine(response);
}
