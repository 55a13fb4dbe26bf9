/**
 * Plans as a file: what was compiled on one machine starts on another, without libseccomp and libcap.
 *
 * One line of text, `spawnbox-plan {header}`, then JSON. The header tells for what and by what the plans were made, and
 * the SHA-256 of the rest: against damage, not against forgery, which only the permissions of the file prevent.
 */
import { VERSION as LAYOUT } from "../../ffi/launcher/layout.ts";
import { version } from "../version.ts";
import type { Machine } from "./machine.ts";
import { pack, type Packed, unpack } from "./pack.ts";
import { type ApiPlan, launchable } from "./plan.ts";
import { isObject } from "../object.ts";
import { keptGroups, keptWords } from "./server-groups.ts";

/**
 * Of this format; LAYOUT is that of the ops inside. It is another one, too, where plans of before lack what is enforced now: `explain`
 * would tell of it, and nothing would do it.
 */
const FORMAT = 5;
const MAGIC = "spawnbox-plan ";

interface Header {
  readonly format: number;
  readonly layout: number;
  readonly arch: string;
  /** Whose server: 0 for root. An ordinary user's plans map that user's ids. */
  readonly uid: number;
  readonly gid: number;
  readonly spawnbox: string;
  readonly sha256: string;
}

type Target = Pick<Machine, "arch" | "uid" | "gid">;

/** What the server that loads a file knows of itself. */
type Own = Pick<Machine, "cannotTell" | "gid" | "groups" | "groupName">;

const digest = (body: string): string => new Bun.CryptoHasher("sha256").update(body).digest("hex");

/** @throws Error naming what cannot be kept in a file */
export function encodePlans(apis: readonly ApiPlan[], { arch, uid, gid }: Target): string {
  const body = JSON.stringify(pack(apis));
  const header: Header = {
    format: FORMAT,
    layout: LAYOUT,
    arch,
    uid,
    gid,
    spawnbox: version,
    sha256: digest(body),
  };
  return `${MAGIC}${JSON.stringify(header)}\n${body}\n`;
}

/** @throws Error telling why these plans are not for this server, and what to do */
export function decodePlans(text: string, target: Target & Own): ApiPlan[] {
  const end = text.indexOf("\n");
  if (!text.startsWith(MAGIC) || end < MAGIC.length) {
    throw new Error("it is not a plan file: make one with spawnbox compile CONFIG -o FILE");
  }
  const body = text.slice(end + 1).replace(/\n$/, "");
  checkHeader(parse(text.slice(MAGIC.length, end)), digest(body), target);
  const packed = parse(body);
  if (!isPacked(packed)) throw new Error("it is damaged: compile it again");
  const apis = unpack(packed) as ApiPlan[];
  checkTelling(apis, target);
  return apis.map((api) => withOwnGroups(api, target));
}

/** Groups of this server that the one it was compiled for had not. */
function withOwnGroups(api: ApiPlan, target: Own): ApiPlan {
  const policy = api.sandboxes.flatMap(launchable)[0]?.policy;
  if (!policy || policy.privileged || policy.groups) return api;
  const known = new Set(policy.server.groups.map(({ gid }) => gid));
  const more = keptGroups(target).filter(({ gid }) => !known.has(gid));
  if (more.length === 0) return api;
  return { ...api, notices: [...api.notices, { path: "sandboxes", message: keptWords(more) }] };
}

/** What the machine that compiled could not know of this one, and no launch could do without. */
function checkTelling(apis: readonly ApiPlan[], { cannotTell }: Pick<Machine, "cannotTell">): void {
  const plans = apis.flatMap(({ sandboxes }) => sandboxes.flatMap(launchable));
  const telling = plans.find(({ policy }) => policy.told !== undefined);
  if (!telling) return;
  const missing = cannotTell();
  if (missing === undefined) return;
  const { api, sandbox } = telling;
  throw new Error(
    `${api}/${sandbox}: its calls cannot be told here: ${missing}: compile it without report and NOTIFY`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error("it is damaged: compile it again", { cause: error });
  }
}

const isPacked = (value: unknown): value is Packed =>
  isObject(value) && Array.isArray(value["value"]) && Array.isArray(value["shared"]);

function checkHeader(header: unknown, sha256: string, { arch, uid, gid }: Target): void {
  if (!isObject(header)) throw new Error("it is damaged: compile it again");
  if (header["format"] !== FORMAT || header["layout"] !== LAYOUT) {
    throw new Error(
      `it was made by spawnbox ${String(header["spawnbox"])}, whose plans are of version ${String(header["format"])}.${String(header["layout"])}; this one reads ${FORMAT}.${LAYOUT}: compile it again`,
    );
  }
  if (header["arch"] !== arch) {
    throw new Error(
      `it is for ${String(header["arch"])}, and this is ${arch}: compile it with --arch ${arch}`,
    );
  }
  if (header["sha256"] !== sha256) {
    throw new Error("its content does not match its hash: it is damaged; compile it again");
  }
  // Root switches users and needs no map; others can only be who they are.
  if (header["uid"] !== uid || (uid !== 0 && header["gid"] !== gid)) {
    throw new Error(
      `it was compiled for a server of uid ${String(header["uid"])}, gid ${String(header["gid"])}, and this one runs as uid ${uid}, gid ${gid}: compile it as that user`,
    );
  }
}
