/** `monitor/fleet/…`: the boards of a fleet, and calls to them, for clients of a server that is an operator of it. */
import type { Request } from "../api/client.ts";
import type { Verb } from "../api/verb.ts";
import type { TObject } from "@sinclair/typebox";
import { BOARD, BOARDS, CALL, parametersOf, STOP } from "./desk-arguments.ts";
import type { Desk } from "./desk.ts";
import { CALL_PRIVILEGE, LOOK_PRIVILEGE } from "./privileges.ts";

/** @param open rejects with the AfbError that says why this server is no operator, now */
export function fleetVerbs(open: () => Promise<Desk>): Verb[] {
  const verb = (
    name: string,
    info: string,
    schema: TObject,
    privilege: string,
    call: (desk: Desk, request: Request) => unknown,
  ): Verb => ({
    name: `fleet/${name}`,
    isUntried: true,
    privileges: [privilege],
    call: async (request) => await call(await open(), request),
    describe: () => ({ info, parameters: parametersOf(schema) }),
  });
  return [
    {
      ...verb(
        "boards",
        "the boards of the fleet, by name",
        BOARDS,
        LOOK_PRIVILEGE,
        (desk, request) => desk.boards(request),
      ),
      isLong: true,
    },
    verb("board", "what a board of the fleet can do", BOARD, LOOK_PRIVILEGE, (desk, request) =>
      desk.board(request),
    ),
    {
      ...verb(
        "call",
        "calls a verb of a board, or of all of a group",
        CALL,
        CALL_PRIVILEGE,
        (desk, request) => desk.call(request),
      ),
      // Numbers are the board's to read.
      exact: true,
      // Which arguments of a board's verb are secrets, only the board knows.
      refused: () => ({ action: "start", hidden: true }),
    },
    verb("stop", "ends a call of fleet/call", STOP, CALL_PRIVILEGE, (desk, request) =>
      desk.stop(request),
    ),
  ];
}
