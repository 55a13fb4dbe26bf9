/** The migration guide: what stands in its tables is proven by test/compat. */
import { join } from "node:path";
import { CALLS, type Change, KEYS, MESSAGES, type Verdict } from "./compat/migration.ts";
import {
  BWRAP,
  DOCKER,
  DOCKER_LIMITS,
  type LimitRow,
  type Row,
  SOURCE,
  SYSTEMD,
  SYSTEMD_LIMITS,
} from "./compat/rows.ts";

export const guide = join(import.meta.dir, "../config/guide/migration.md");

const VERDICTS: Readonly<Record<Verdict, string>> = {
  same: "same",
  better: "better",
  notice: "a notice",
  refused: "refused",
};

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map(cell).join(" | ")} |`)
    .join("\n");

/** `"key": value, …`, as it stands in a config. */
function keysOf(ours: object): string {
  const text = JSON.stringify(ours, null, 1).replaceAll(/\n\s*/g, " ").slice(2, -2);
  return text === "" ? "nothing" : `\`${text.replaceAll(SOURCE, "/srv/data")}\``;
}

const changes = (what: string, list: readonly Change[]) =>
  table(
    [what, "here", "why, or what to do"],
    list.map((one) => [one.what, VERDICTS[one.verdict], one.here]),
  );

const options = (what: string, list: readonly Row[]) =>
  table(
    [what, "keys of the sandbox", ""],
    list.map(({ theirs, ours, note = "" }) => [
      `\`${theirs.replaceAll(SOURCE, "/srv/data")}\``,
      keysOf(ours),
      note,
    ]),
  );

const limits = (what: string, list: readonly LimitRow[]) =>
  table(
    [what, "`cgroups` of the sandbox", ""],
    list.map(({ theirs, ours, note = "" }) => [`\`${theirs}\``, keysOf(ours), note]),
  );

export function guideMarkdown(): string {
  return `# Coming from elsewhere

Each row of these tables is a test (\`test/compat\`): what it says was seen, from inside a sandbox or by a client.

## From spawn-binding

Configs load as they are. Run \`spawnbox check CONFIG\` first: it makes nothing, and tells what is refused and what does nothing here.

${changes("key", KEYS)}

${changes("call", CALLS)}

${changes("message", MESSAGES)}

Over REST an error of a verb has its HTTP status (400, 403, 404 …). Pages that expect 200, as a binder answers, get it with
\`"http": "afb"\` in \`metadata\`, or with the header or parameter \`x-afb-http=afb\`.

The encoder \`json\` reads what json-c reads: trailing commas, single quotes, comments, words in any case, keys without quotes. \`NaN\`
and \`Infinity\`, which JSON does not have, arrive as texts. What is no JSON even so is a \`json-error\`; with \`"strict": true\` among its
\`opts\` so is all that RFC 8259 does not have. A string does not go over the end of its line.

\`monitor/trace\` takes the words of AFB. There are \`begin\` and \`reply\` of requests, \`push_before\` and \`push_after\` of events, \`create\` and
\`close\` of sessions; other words, and all of \`api\`, \`daemon\`, \`service\` and \`global\`, are taken, and nothing comes of them.

## From systemd

What a unit says of one service, a sandbox says of each of its commands.

${options("directive", SYSTEMD)}

${limits("directive", SYSTEMD_LIMITS)}

## From bubblewrap

These print the same under both. With no mounts at all, a sandbox has the host's file system.

${options("option", BWRAP)}

## From docker run

There are no images: the mounts say what is seen of the host. Nothing is like \`--privileged\`.

${options("option", DOCKER)}

${limits("option", DOCKER_LIMITS)}
`;
}
