/** What was seen in a place: of each profile that its command runs, or why not, in the words of both check and launch. */
import type { Problem } from "../../src/config/problem.ts";
import type { User } from "../served.ts";
import { PROFILES, type Profile } from "./profiles.ts";
import { lasting, lines, RUNS, SERVES, withoutName } from "./said.ts";

export interface Row {
  readonly place: string;
  readonly user: User;
  /** `runs`, or why not. */
  readonly cells: Readonly<Record<Profile, string>>;
  /** `serves`, or why not, where that is not said of profiles. */
  readonly start: string;
}

interface Parts {
  readonly [name: string]: string;
}

function parts(output: string): Parts {
  const found: Record<string, string> = {};
  for (const [, name = "", text = ""] of output.matchAll(/^@@ (\w+)\n([^]*?)(?=^@@ )/gm))
    found[name] = text.trim();
  return found;
}

/** What stands against a launch of the sandbox; undefined: it ran. */
function refusal(output: string): string | undefined {
  if (output.includes('"stdout":["ok"]')) return undefined;
  for (const line of lines(output)) {
    if (!line.startsWith("{")) continue;
    const { request } = JSON.parse(line) as { request?: { info?: string } };
    if (request?.info !== undefined) return lasting(request.info.replace(/^\S+ not started: /, ""));
  }
  // A config that cannot be compiled here is refused as a whole.
  const own = lines(output).flatMap((line) => {
    const [, message] = /^\/\S+: sandboxes\[0\]\S*: (.*)$/.exec(line) ?? [];
    return message === undefined ? [] : [message];
  });
  return own.length === 1 ? lasting(own[0] ?? "") : withoutName(output);
}

/** @throws Error where check, launch and start do not say the same, or more than a line */
export function rowOf(place: string, user: User, output: string): Row {
  const part = parts(output);
  const fail = (why: string): never => {
    throw new Error(`${place}, ${user}: ${why}\n${output}`);
  };
  const checked = part["check"] ?? fail("nothing came of it");
  const start = part["serve"] ?? fail("it came to no end");
  const isJson = checked.startsWith("{");
  const problems = isJson ? (JSON.parse(checked) as { problems: Problem[] }).problems : [];
  const general = isJson ? undefined : withoutName(checked);
  const cell = (profile: Profile, i: number): string => {
    const launched = refusal(part[profile] ?? "");
    const told = problems
      .filter(({ path }) => path === "" || path.startsWith(`sandboxes[${i}]`))
      .map(({ message }) => lasting(message));
    if (general !== undefined) told.push(general);
    if (launched === undefined)
      return told.length === 0 ? RUNS : fail(`${profile} runs, and check says: ${told.join("; ")}`);
    if (told.length === 0)
      return fail(`${profile} is refused, and check says nothing: ${launched}`);
    if (told.length > 1 || told[0] !== launched)
      return fail(`${profile}: check says: ${told.join("; ")}; the launch: ${launched}`);
    if (/\n|panic|bun\.report/.test(launched)) return fail(`${profile}: more than a line`);
    return launched;
  };
  const [minimal = "", network = "", device = "", admin = ""] = PROFILES.map(cell);
  const cells = { minimal, network, device, admin };
  const refused = Object.values(cells).filter((text) => text !== RUNS);
  return { place, user, cells, start: started(start, refused, fail) };
}

function started(output: string, refused: readonly string[], fail: (why: string) => never): string {
  if (/serves on /.test(output)) {
    return refused.length === 0 ? SERVES : fail("it starts, though launches are refused");
  }
  const said = lasting(output);
  for (const text of refused)
    if (!said.includes(text)) fail(`the start does not say what check says: ${text}`);
  return refused.length > 0 ? "" : withoutName(output);
}
