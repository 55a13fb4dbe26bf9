/** The pages of the manual: spawnbox(1) from the tables of options, spawnbox.json(5) from the schema of configs. */
import { EARLY_CONFIGS } from "../boot/places.ts";
import { SERVICE_VARIABLE } from "../access/cynagora/address.ts";
import { DEFAULT_FILE } from "../access/load.ts";
import { written } from "./options.ts";
import { type KeyRow, keyRows } from "../config/reference.ts";
import { SUBJECTS, titleOf } from "../guide/guides.ts";
import { version } from "../version.ts";
import type { Command } from "./program.ts";
import { entry, escaped, head, page, paragraphs, section, subsection, verbatim } from "./troff.ts";

/** @param date of the page, YYYY-MM-DD */
export function programPage(commands: readonly Command[], date: string): string {
  return page([
    head("spawnbox", 1, date, version, "commands as REST and WebSocket verbs, each in a sandbox"),
    section("synopsis"),
    ...commands.flatMap(({ manual }) =>
      manual.synopsis.map((how) => `.PP\n.B ${escaped(manual.name)}\n${escaped(how)}`),
    ),
    section("description"),
    paragraphs(
      "spawnbox turns the commands named in a config, spawnbox.json(5), into verbs, and launches each of them in a sandbox. " +
        "The first argument is a subcommand. Guides, by job, are shown by spawnbox help.",
    ),
    section("subcommands"),
    ...commands.flatMap(commandPart),
    section("guides"),
    ...SUBJECTS.map((subject) => entry(`spawnbox help ${subject}`, titleOf(subject))),
    section("environment"),
    entry("AFB_SPAWN_CONFIG", "configs, where neither --config nor --plan is given"),
    entry("SPAWNBOX_TOKEN", "the token that spawnbox call presents, without --token-file"),
    entry(SERVICE_VARIABLE, "where the permission service is that serve --cynagora asks"),
    entry("SPAWNBOX_DEBUG", "tells the stack of what is unexpected, besides its line"),
    entry("PAGER, LESS, NO_COLOR", "how guides are shown on a terminal"),
    section("files"),
    entry("/etc/spawnbox/spawn-*.json", "configs of the service"),
    entry(EARLY_CONFIGS, "configs of early boot, in /etc/spawnbox"),
    entry(DEFAULT_FILE, "who may call verbs that need a privilege"),
    section("see also"),
    ".BR spawnbox.json (5),\n.BR systemd.exec (5),\n.BR capabilities (7),\n.BR namespaces (7),\n.BR seccomp (2),\n.BR cgroups (7)",
  ]);
}

function commandPart({ name, about, manual }: Command): string[] {
  return [
    subsection(`${name}: ${about}`),
    paragraphs(manual.about),
    ...Object.entries(manual.options).map(([long, option]) =>
      entry(written(long, option), option.text),
    ),
    ...(manual.notes === undefined ? [] : [paragraphs(manual.notes)]),
    paragraphs(`Exit code: ${manual.exit}`),
    ...(manual.examples ? [paragraphs("Examples:"), verbatim(manual.examples)] : []),
  ];
}

/** @param date of the page, YYYY-MM-DD */
export function configPage(date: string): string {
  const rows = keyRows();
  const tops = [...new Set(rows.map(({ path }) => path.split(/[.[]/)[0] ?? ""))];
  return page([
    head("spawnbox.json", 5, date, version, "configs of spawnbox"),
    section("description"),
    paragraphs(
      "A config names an API, the sandboxes of its commands, and the commands. It is JSON, checked by spawnbox check; " +
        "a key that does not exist is refused. Where a list is wanted, one element may stand alone. " +
        "$NAME is expanded where a key says so. In the names below, [] is each element of a list.",
    ),
    section("example"),
    verbatim(EXAMPLE.split("\n")),
    section("keys"),
    ...tops.flatMap((top) => [
      subsection(top),
      ...rows.filter(({ path }) => path.split(/[.[]/)[0] === top).map(keyEntry),
    ]),
    section("see also"),
    ".BR spawnbox (1);\nspawnbox help config, spawnbox help sandboxing",
  ]);
}

const EXAMPLE = `{
  "metadata": { "uid": "mine", "api": "mine" },
  "sandboxes": {
    "uid": "files",
    "profile": "minimal",
    "commands": {
      "uid": "list",
      "encoder": "sync",
      "exec": { "cmdpath": "/bin/ls", "args": ["-l", "/usr/?dir?"] }
    }
  }
}`;

function keyEntry({ path, type, default: value, description }: KeyRow): string {
  const plain = (text: string) => text.replaceAll("`", "");
  const kind = plain(type) + (value === "" ? "" : `, default ${plain(value)}`);
  return entry(path, description === "" ? kind : `${description} (${kind})`);
}
