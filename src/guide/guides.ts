/** The guides: files of the executable, which are read only when somebody asks for one. */
import { readFileSync } from "node:fs";
import { nearest } from "../config/nearest.ts";
import access from "../../config/guide/access.md" with { type: "file" };
import audit from "../../config/guide/audit.md" with { type: "file" };
import boards from "../../config/guide/boards.md" with { type: "file" };
import calling from "../../config/guide/calling.md" with { type: "file" };
import config from "../../config/guide/config.md" with { type: "file" };
import early from "../../config/guide/early.md" with { type: "file" };
import consoleGuide from "../../config/guide/console.md" with { type: "file" };
import fleet from "../../config/guide/fleet.md" with { type: "file" };
import encrypted from "../../config/guide/encrypted.md" with { type: "file" };
import mcp from "../../config/guide/mcp.md" with { type: "file" };
import mesh from "../../config/guide/mesh.md" with { type: "file" };
import monitoring from "../../config/guide/monitoring.md" with { type: "file" };
import migration from "../../config/guide/migration.md" with { type: "file" };
import output from "../../config/guide/output.md" with { type: "file" };
import places from "../../config/guide/places.md" with { type: "file" };
import plugins from "../../config/guide/plugins.md" with { type: "file" };
import reference from "../../config/guide/reference.md" with { type: "file" };
import sandboxing from "../../config/guide/sandboxing.md" with { type: "file" };
import services from "../../config/guide/services.md" with { type: "file" };
import tasks from "../../config/guide/tasks.md" with { type: "file" };

/** By subject, in the order in which somebody new reads them. */
const FILES: Readonly<Record<string, string>> = {
  config,
  sandboxing,
  calling,
  console: consoleGuide,
  output,
  tasks,
  access,
  encrypted,
  audit,
  services,
  monitoring,
  mcp,
  mesh,
  fleet,
  places,
  early,
  boards,
  plugins,
  migration,
  reference,
};

export const SUBJECTS: readonly string[] = Object.keys(FILES);

export const guideOf = (subject: string): string | undefined =>
  Object.hasOwn(FILES, subject) ? readFileSync(FILES[subject] ?? "", "utf8") : undefined;

export const titleOf = (subject: string): string =>
  /^# (.*)$/m.exec(guideOf(subject) ?? "")?.[1] ?? "";

/** Where somebody may find what there is no guide of: names that begin so or are nearly the same, then guides that speak of it most. */
export function perhaps(word: string): string[] {
  if (word === "") return [];
  const sought = word.toLowerCase();
  const near = nearest(word, SUBJECTS);
  const named = SUBJECTS.filter((subject) => subject === near || subject.startsWith(sought));
  const mentions = (subject: string) =>
    (guideOf(subject) ?? "").toLowerCase().split(sought).length - 1;
  const speaking = SUBJECTS.map((subject) => ({ subject, count: mentions(subject) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .map(({ subject }) => subject);
  return [...new Set([...named, ...speaking])].slice(0, 3);
}
