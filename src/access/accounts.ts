/** The users and groups of this machine. */
import { groupByName, userByName } from "../../ffi/users.ts";
import type { Accounts } from "./load.ts";

const NUMBER = /^\d{1,10}$/;
/** (uid_t)-1 is no user. */
const LARGEST_ID = 0xfffffffe;

const number = (text: string): number | undefined =>
  NUMBER.test(text) && Number(text) <= LARGEST_ID ? Number(text) : undefined;

export const thisSystem = (): Accounts => ({
  uid: process.geteuid?.() ?? 0,
  user: (text) => number(text) ?? userByName(text)?.uid,
  group: (text) => number(text) ?? groupByName(text),
});
