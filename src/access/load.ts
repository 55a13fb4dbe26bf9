/** An access file → the rules of it, or every problem it has. */
import { isIP } from "../ip.ts";
import { conform, type Draft } from "../config/conform.ts";
import { readJson } from "../config/load.ts";
import { element, member } from "../config/place.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { deciders } from "../config/trust.ts";
import { isId } from "../config/ranges.ts";
import type { Rule, Who } from "./access.ts";
import { AccessFile, type Grant } from "./schema.ts";
import { isObject } from "../object.ts";

export const DEFAULT_FILE = "/etc/spawnbox/access.json";

/** The users and groups of a machine: name or number → id; undefined when there is none. They throw where a number is no id. */
export interface Accounts {
  /** The server's user. */
  readonly uid: number;
  user(text: string): number | undefined;
  group(text: string): number | undefined;
}

const WHO = ["token", "user", "group", "certificate", "mqtt", "anyone"] as const;

export interface LoadedAccess {
  readonly rules: readonly Rule[];
  /** The rules do nothing: a permission service alone says who may what. */
  readonly serviceOnly: boolean;
}

/** @throws ConfigError with every problem */
export function loadAccess(file: string, accounts: Accounts): LoadedAccess {
  const problems: Problem[] = [];
  const report = (path: string, message: string) => void problems.push({ file, path, message });
  // Who can write it can call everything.
  const owners = deciders(accounts.uid);
  const raw = readJson(file, { owners, beside: "mine only" }, problems);
  const loaded = raw === undefined ? undefined : accessIn(raw, accounts, report);
  // The file as it was named, not where its links lead.
  if (!loaded || problems.length > 0)
    throw new ConfigError(problems.map((one) => ({ ...one, file })));
  return loaded;
}

type Report = (path: string, message: string) => void;

/** A token in place of its hash is told without showing it: problems are logged. */
const discreet =
  (report: Report): Report =>
  (path, message) =>
    report(path, path.endsWith(".token") ? NO_HASH : message);

const NO_HASH = "is not sha256: and 64 hexadecimal digits, as in the second line of spawnbox token";

function accessIn(raw: unknown, accounts: Accounts, report: Report): LoadedAccess {
  const draft = conform(AccessFile, raw, "", discreet(report)) as Draft<AccessFile> | undefined;
  const written = isObject(raw) ? [raw["grants"]].flat() : [];
  const serviceOnly = draft?.access !== undefined;
  if (isObject(raw) && !("grants" in raw) && !("access" in raw))
    report("grants", "missing key `grants`: expected a list (who may use which privileges)");
  const rules = (draft?.grants ?? []).flatMap((grant, i) => {
    if (!grant) return [];
    const place = element("grants", i);
    const keys = WHO.filter((key) => isObject(written[i]) && Object.hasOwn(written[i], key));
    const who = whoOf(grant, keys, place, accounts, report);
    if (!who) return [];
    const { info, privileges = [] } = grant;
    return [{ who, privileges: privilegesOf(privileges), ...(info !== undefined && { info }) }];
  });
  return { rules, serviceOnly };
}

/** @param keys those of WHO that are written, also where what they say does not fit and is told already */
function whoOf(
  grant: Draft<Grant>,
  [kind, ...others]: readonly (typeof WHO)[number][],
  path: string,
  accounts: Accounts,
  report: Report,
): Who | undefined {
  if (kind === undefined || others.length > 0) {
    const found = kind === undefined ? "none" : [kind, ...others].join(" and ");
    return void report(path, `found ${found}, expected one of ${WHO.join(", ")}`);
  }
  if (grant[kind] === undefined) return undefined;
  const { token = "", user = "", group = "", anyone } = grant;
  if (kind === "mqtt") return { kind: "operator", name: grant.mqtt ?? "" };
  if (kind === "token") return { kind, hash: token.toLowerCase() };
  if (kind === "anyone") {
    if (anyone) return { kind };
    return void report(member(path, kind), "found false: a grant to nobody; remove it");
  }
  if (kind === "certificate") {
    const names = certificateNames(grant.certificate ?? "");
    if (typeof names !== "string") return { kind, names };
    return void report(member(path, kind), names);
  }
  let id: number | undefined;
  try {
    id = kind === "user" ? accounts.user(user) : accounts.group(group);
  } catch (error) {
    return void report(member(path, kind), error instanceof Error ? error.message : String(error));
  }
  if (id === undefined || !isId(id)) {
    const name = JSON.stringify(kind === "user" ? user : group);
    return void report(member(path, kind), `this system has no ${kind} ${name}`);
  }
  return kind === "user" ? { kind, uid: id } : { kind, gid: id };
}

/**
 * What a certificate may call who has it. A name without a kind is what it looks like, and nothing else: a URI, a mail address, or
 * one of the two that are names of machines and people.
 * @returns why it is none, where it is not
 */
function certificateNames(text: string): string[] | string {
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(text))
    return "has characters that cannot be seen: no certificate with such a name counts";
  const [, kind = "", name = ""] = /^(CN|DNS|URI|email):(.*)$/is.exec(text) ?? [];
  if (kind !== "") {
    const known = KINDS.find((one) => one.toLowerCase() === kind.toLowerCase());
    return name === "" ? `no name after ${kind}:` : [`${known}:${name}`];
  }
  if (/^IP:/i.test(text) || isIP(text) !== 0)
    return `addresses are nobody: give a name, ${KINDS.map((one) => `${one}:`).join(", ")}`;
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) return [`URI:${text}`];
  return text.includes("@") ? [`email:${text}`] : [`CN:${text}`, `DNS:${text}`];
}

const KINDS = ["CN", "DNS", "URI", "email"] as const;

function privilegesOf(names: readonly (string | undefined)[]): Rule["privileges"] {
  const known = names.filter((name) => name !== undefined);
  return known.includes("*") ? "all" : new Set(known);
}
