/** The users and groups of this machine. */
import { groupByName, userByName } from "../../ffi/users.ts";
import { idOf } from "../config/ranges.ts";
import type { Accounts } from "./load.ts";

export const thisSystem = (): Accounts => ({
  uid: process.geteuid?.() ?? 0,
  user: (text) => idOf(text) ?? userByName(text)?.uid,
  group: (text) => idOf(text) ?? groupByName(text),
});
