/** What a process has open. */
import { readdirSync, readlinkSync } from "node:fs";

/** What its descriptors lead to, as /proc has it: a path, `pipe:[…]`, `socket:[…]`. Empty for one that is closed just then. */
export const descriptorsOf = (pid: number | "self"): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });
