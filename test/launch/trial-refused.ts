/** Tries a sandbox where that cannot be had now, and prints what is said: `full` without any descriptor, `off` as it is started. */
import { openSync } from "node:fs";
import { tryApis } from "../../src/launch/trial.ts";
import { compiled } from "../plan/compiling.ts";

const shares = { all: "disable", net: "enable" };
const api = compiled(
  process.argv[2] === "off"
    ? { acls: { user: "root" }, namespace: { shares } }
    : { acls: { user: "nobody" } },
  {},
);
if (process.argv[2] === "full")
  try {
    for (;;) openSync("/dev/null", "r");
  } catch {
    // None is left.
  }
const { problems, notices } = await tryApis([api], () => undefined);
const text = (all: readonly { readonly message: string }[]) =>
  all.map(({ message }) => message).join();
console.log(
  `${problems.length} problems${problems.length > 0 ? ": " : ""}${text(problems)}; ${text(notices)}`,
);
process.exit();
