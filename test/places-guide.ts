/** The page "What runs where", made from the rows that test/places and the virtual machine compare with what they see. */
import type { User } from "./served.ts";
import type { Kind } from "./places/place.ts";
import { PROFILES } from "./places/profiles.ts";
import { type Known, KINDS, readRows } from "./places/rows.ts";
import { RUNS, SERVES } from "./places/said.ts";

const WORDS: Readonly<Record<Kind, string>> = {
  "the machine": "Nothing around the server: as a unit without options, or from a shell.",
  "containers, as they are": "Real runtimes of Debian 12, with their own options.",
  "containers, imitated":
    "What container runtimes put around a process, made with namespaces, masks, capabilities and filters alone.",
  "units, as they are":
    "Real systemd (252) in a virtual machine with Linux 6.1 and control groups v2, by `systemd-run -p`; where a row names another kernel or hierarchy, there. A `SystemCallFilter=` without `SystemCallErrorNumber=EPERM` kills instead, and nobody can say why.",
  "unit options":
    "What systemd does for a directive of systemd.exec(5), done to a process, on the kernel of the tests. `ProtectKernelTunables=` and `ProtectKernelLogs=` mask parts of /proc, after which the kernel gives no new one here; under systemd 252, above, it does: for units, those rows count.",
  "kernel settings": "By sysctl(8), where the setting belongs to a namespace.",
  limits: "By setrlimit(2), with CAP_SYS_RESOURCE taken away, so that they hold for root as well.",
  "file systems": "What is mounted, and what is not.",
  filters: "What a seccomp filter answers to a call.",
};

const USERS: readonly User[] = ["root", "ordinary user"];
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** What is said once a sentence is over is the same for all. */
const short = (text: string): string =>
  text.replace(/\. the sandbox cannot be set up as configured, so nothing was run$/, "");

function works(row: Known | undefined): string {
  if (!row) return "–";
  const running = PROFILES.filter((profile) => row.cells[profile] === RUNS);
  if (running.length === PROFILES.length) return row.start === SERVES ? "all" : "all, not served";
  return running.length === 0 ? "none" : running.join(", ");
}

/** Sentences that are said of a place. */
function told(rows: readonly Known[]): string[] {
  const all = rows.flatMap(({ cells, start }) => [...Object.values(cells), start]);
  const none = new Set([RUNS, SERVES, ""]);
  return [...new Set(all.filter((text) => !none.has(text)).map(short))];
}

/** A table, and the sentences in it by their numbers. */
function table(rows: readonly Known[]): string {
  const places = [...Map.groupBy(rows, ({ place }) => place)];
  const said = told(rows);
  const lines = [
    ["place", "as root", "as an ordinary user", "says"],
    ["---", "---", "---", "---"],
    ...places.map(([place, of]) => [
      place,
      ...USERS.map((user) => works(of.find((row) => row.user === user))),
      told(of)
        .map((text) => said.indexOf(text) + 1)
        .join(", "),
    ]),
  ].map((cells) => `| ${cells.map(cell).join(" | ")} |`);
  const list = said.map((text, i) => `${i + 1}. \`${text.replaceAll("`", "'")}\``);
  return [lines.join("\n"), ...(list.length > 0 ? [list.join("\n")] : [])].join("\n\n");
}

export function placesMarkdown(): string {
  const rows = readRows();
  const chapters = KINDS.flatMap((kind) => {
    const of = rows.filter((row) => row.kind === kind);
    return of.length === 0
      ? []
      : [`## ${kind[0]?.toUpperCase()}${kind.slice(1)}\n\n${WORDS[kind]}\n\n${table(of)}`];
  });
  return `# What runs where

A sandbox is all that its config says, or it is refused. So what a place takes from the server decides what can run in it: a
container without CAP_SYS_ADMIN has no namespaces to give, a unit with \`MemoryDenyWriteExecute=\` no runtime at all. \`spawnbox check
CONFIG\`, executed as the server will be, says so before anything is served, in the words of this page; \`spawnbox doctor\` says what
there is.

Each row was seen by a test: in that place each of the four profiles was checked, launched and served, and either its command ran
or check, launch and start said the same sentence, which stands below its table, with the option that gives the rest.
\`minimal\`, \`network\` and \`device\` have namespaces of their own; \`admin\` has none, and runs nearly everywhere.

A config for places that differ marks what may be missing: a sandbox with \`"optional": true\` is not served where it cannot be had,
and its verbs answer \`not-available\` with the reason.

## What a machine needs

| what | least | |
| --- | --- | --- |
| Linux | 5.9 | tests run on 5.10, 6.1 and newer; Landlock needs 5.13, limits on TCP ports 6.7 |
| C library | glibc 2.17 | by its symbols; tests run on 2.36; the executable loads nothing else: libseccomp2 and libcap2 where a config has rules or capabilities and no plan file |
| arm64 | ARMv8.0 | as Cortex-A53 and A57 are |
| x86_64 | SSE4.2 and POPCNT | x86-64-v2; of a virtual machine any CPU model but qemu64 and kvm64 |
| \`/proc\` | mounted | with its own pid namespace; \`hidepid=\` may be set |
| control groups | none | v2 where a config has limits |

${chapters.join("\n\n")}
`;
}
