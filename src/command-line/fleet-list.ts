/** `spawnbox fleet ls` and `watch`: which boards there are, and when one comes or goes. */
import type { Operator } from "../fleet/operator.ts";
import { silenceOf } from "../fleet/presence.ts";
import { ALL } from "../fleet/topics.ts";
import { visible } from "../visible.ts";
import type { Lines } from "./lines.ts";

export async function listBoards(
  operator: Operator,
  group: string,
  json: boolean,
  out: Lines,
): Promise<number> {
  await operator.look();
  const { presence } = operator;
  const boards = presence.of(group);
  const width = Math.max(5, ...boards.map((board) => board.length));
  if (!json) await out.print(`${"BOARD".padEnd(width)}  STATE              VERSION  GROUPS  APIS`);
  for (const board of boards) {
    const seen = presence.boards.get(board);
    const { status, about, heard } = seen ?? {};
    const silence = seen && silenceOf(seen);
    const state = silence === undefined ? (status ?? "?") : `silent for ${silence} min`;
    const { version = "?", groups = [], apis = [] } = about ?? {};
    await out.print(
      json
        ? JSON.stringify({ board, status, heard, ...about })
        : visible(
            `${board.padEnd(width)}  ${state.padEnd(17)}  ${version.padEnd(7)}  ${groups.join(",") || "-"}  ${apis.join(",")}`,
          ),
    );
  }
  await out.flush();
  return 0;
}

/** Until Ctrl-C. */
export async function watchBoards(operator: Operator): Promise<number> {
  await operator.look();
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
  return 130;
}

/** Prints what is news of a board. */
export function toldBoard(
  { presence }: Operator,
  board: string,
  kind: string,
  group: string,
  json: boolean,
  out: Lines,
): void {
  const { status, about } = presence.boards.get(board) ?? {};
  // What it is comes before that it is there.
  if (kind !== "status" || (group !== ALL && !about?.groups.includes(group))) return;
  const state = status ?? "gone";
  const { version, groups, apis } = about ?? {};
  void out.print(
    json ? JSON.stringify({ board, status: state, version, groups, apis }) : `${board} ${state}`,
  );
}
