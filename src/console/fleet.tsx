/** The boards of the fleet of which this server is an operator: which there are, by a search; they come and go by themselves. */
import { useEffect, useState } from "preact/hooks";
import { call, generation, listen, succeeded } from "./connection.ts";
import { BoardChip } from "./fleet-chip.tsx";
import { FleetTarget } from "./fleet-call.tsx";
import { type Board, type Boards, EVENT, readBoard, readBoards } from "./fleet-model.ts";
import { lastRun } from "./fleet-run.ts";
import { numberOf } from "./json.ts";
import { fleetLink } from "./route.ts";
import { t } from "./text.ts";

const PAGE = 200;
/** ms after the last key. */
const TYPING = 200;
/** ms between what happens to boards that are not shown and the next look, and to the next look in any case: signs of life are no events. */
const TOGETHER = 300;
const STALE = 240_000;

export function FleetView({ to }: { to: string | undefined }) {
  return to === undefined ? <BoardList /> : <FleetTarget key={to} to={to} />;
}

function BoardList() {
  const [found, setFound] = useState<Boards>();
  const [fault, setFault] = useState("");
  const [group, setGroup] = useState("all");
  const [sought, setSought] = useState("");
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (generation.value === 0) return;
    let over = false;
    let asks: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => setTurn((before) => before + 1);
    // Once for many that come together.
    const later = (): void => void (asks ??= setTimeout(again, TOGETHER));
    const stale = setTimeout(again, STALE);
    const filter = { group, search: sought.trim(), limit: PAGE };
    const forget = listen(EVENT, (data) => {
      if (numberOf(data["dropped"]) !== undefined) return later();
      if (data["type"] === "broker")
        return setFound((before) => before && { ...before, connected: data["connected"] === true });
      const board = data["type"] === "board" ? readBoard(data) : undefined;
      if (board) setFound((before) => before && changed(before, board, later));
    });
    const timer = setTimeout(
      () => {
        void call("monitor/fleet/boards", { ...filter, follow: true }).then((reply) => {
          if (over || reply.status === "disconnected") return;
          setFault(succeeded(reply) ? "" : reply.info || reply.status);
          setFound(succeeded(reply) ? readBoards(reply.response) : undefined);
        });
      },
      sought === "" ? 0 : TYPING,
    );
    return () => {
      over = true;
      for (const one of [timer, asks, stale]) clearTimeout(one);
      forget();
    };
  }, [group, sought, turn, generation.value]);
  useEffect(() => () => void call("monitor/fleet/boards", { follow: false, limit: 1 }), []);

  const older = async (after: string): Promise<void> => {
    const reply = await call("monitor/fleet/boards", {
      ...{ group, search: sought.trim(), limit: PAGE, after },
    });
    const { boards } = readBoards(reply.response);
    setFound((before) => before && { ...before, boards: [...before.boards, ...boards] });
  };
  const run = lastRun();
  const last = found?.boards.at(-1);
  return (
    <>
      <h1>{t("fleet")}</h1>
      {found && <p class="lead">{t("fleetLead", found.online, found.known, found.operator)}</p>}
      {found && !found.connected && <p class="notice">{t("fleetBroker")}</p>}
      {run && (
        <p class="hint">
          <a href={fleetLink(run.to)}>
            {t("fleetLast")} {run.method} → {run.to}
          </a>
        </p>
      )}
      <form class="search boards" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          data-search
          value={sought}
          placeholder={t("searchBoards")}
          aria-label={t("searchBoards")}
          onInput={({ currentTarget }) => setSought(currentTarget.value)}
        />
        <select
          aria-label={t("fleetOfGroup")}
          value={group}
          onChange={({ currentTarget }) => setGroup(currentTarget.value)}
        >
          {["all", ...(found?.groups ?? []).filter((one) => one !== "all")].map((one) => (
            <option key={one} value={one}>
              @{one}
            </option>
          ))}
        </select>
        <a class="button" href={fleetLink(`@${group}`)}>
          {t("fleetCall", `@${group}`)}
        </a>
      </form>
      {fault !== "" && (
        <p class="fault">
          {fault} <a href="#/server">{t("token")}</a>
        </p>
      )}
      {found && found.boards.length > 0 ? (
        <ul class="list card">
          {found.boards.map((board) => (
            <li key={board.name}>
              <a class="row-link board-row" href={fleetLink(board.name)}>
                <BoardChip board={board} />
                <code>{board.name}</code>
                <span class="info">
                  <bdi>{wordsOf(board)}</bdi>
                </span>
                <span class="quiet version">
                  <bdi>{board.version}</bdi>
                </span>
              </a>
            </li>
          ))}
        </ul>
      ) : (
        fault === "" && (
          <p class="empty">
            {t(found ? (found.known > 0 ? "nothingFound" : "fleetEmpty") : "loading")}
          </p>
        )
      )}
      {found && last && found.found > found.boards.length && (
        <button type="button" onClick={() => void older(last.name)}>
          {t("fleetMore")}
        </button>
      )}
    </>
  );
}

/** Each has the API of its server. */
const wordsOf = ({ groups, apis }: Board): string =>
  [...groups.map((one) => `@${one}`), ...apis.filter((one) => one !== "monitor")].join(" ");

/** What the server tells of a board, put into what is shown; where it comes or goes, all is asked for once more. */
function changed(before: Boards, board: Board, again: () => void): Boards {
  const old = before.boards.find(({ name }) => name === board.name);
  if (!old || board.status === undefined) {
    again();
    return before;
  }
  const isOnline = (one: Board): number => (one.status === "online" ? 1 : 0);
  const more = isOnline(board) - isOnline(old);
  return {
    ...before,
    boards: before.boards.map((one) => (one === old ? board : one)),
    online: before.online + more,
    foundOnline: before.foundOnline + more,
  };
}
