/** The standard input of this process as that of a task over a connection: each piece once the one before was taken. */
import type { Reply } from "../api/reply.ts";
import { ConnectionError } from "../client.ts";
import { StandardInput } from "./standard-input.ts";

/** Bytes of a piece: as base64 it fits into one message. */
const PIECE = 512 << 10;

/**
 * Gives it all to the task, until that has ended, or reads no more; does not begin to read for one that reads nothing.
 * @param call with the args of the verb
 * @returns why it has not got all of it, where that is its caller's business
 */
export async function forward(
  call: (args: object) => Promise<Reply>,
  pid: number,
): Promise<string | undefined> {
  const give = async (piece: object): Promise<Reply["request"]> =>
    (await call({ action: "input", args: { pid, ...piece } })).request;
  try {
    // Most commands have no stdin: what is this process's is then for whoever comes next, such as the shell around a loop.
    if ((await give({ data: "" })).status !== "success") return undefined;
    const input = new StandardInput();
    for (let all = await input.next(); all; all = await input.next())
      for (let at = 0; at < all.length; at += PIECE) {
        const base64 = Buffer.from(all.subarray(at, at + PIECE)).toString("base64");
        const { status, info = status } = await give({ base64 });
        if (status !== "success") return status === "bad-state" ? undefined : info;
      }
    await give({ end: true });
    return undefined;
  } catch (error) {
    // Who waits for the end of the task is told that.
    if (error instanceof ConnectionError) return undefined;
    throw error;
  }
}
