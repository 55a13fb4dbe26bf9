/** Older and alternative keys folded into the one that the rest of the program reads. */
import type { Draft } from "./conform.ts";
import { element, excerpt, member, type Report } from "./place.ts";
import type { Config } from "./schema.ts";

/** Folds the aliases in place. Both keys with different values is reported: neither can be preferred. */
export function foldAliases(config: Draft<Config>, report: Report): void {
  for (const [s, sandbox] of (config.sandboxes ?? []).entries()) {
    const within = (path: string) => () => `${element("sandboxes", s)}.${path}`;
    const { cgroups } = sandbox ?? {};
    fold(cgroups?.mem, "hight", "high", within("cgroups.mem"), report);
    fold(cgroups?.task?.mem, "hight", "high", within("cgroups.task.mem"), report);
    const shares = sandbox?.namespace?.shares;
    fold(shares, "user", "users", within("namespace.shares"), report);
    fold(shares, "cgroups", "cgroup", within("namespace.shares"), report);
    if (shares?.net !== undefined) shares.net = wordOrName(shares.net);
    for (const [c, command] of (sandbox?.commands ?? []).entries()) {
      const where = () => element(`${element("sandboxes", s)}.commands`, c);
      fold(command, "samples", "sample", where, report);
      fold(command, "once", "single", where, report);
    }
  }
}

/** Words in any case and old spelling, as the other shares; the name of a network is what it is. */
function wordOrName(net: string): string {
  return net.startsWith("name:") ? net : net.toLowerCase().replace(/d$/, "");
}

function fold<H extends object, K extends keyof H & string>(
  holder: H | undefined,
  alias: K,
  key: K,
  path: () => string,
  report: Report,
): void {
  if (holder?.[alias] === undefined) return;
  const value = holder[alias];
  if (holder[key] === undefined) {
    holder[key] = value;
  } else if (!Bun.deepEquals(holder[key], value, true)) {
    const values = `${excerpt(value)} and ${excerpt(holder[key])}`;
    report(member(path(), alias), `\`${alias}\` means \`${key}\`, and both are given: ${values}`);
  }
  delete holder[alias];
}
