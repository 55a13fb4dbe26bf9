/** A place where a server may be put: what is around it, and how one gets there. */
import { ORDINARY } from "../accounts.ts";
import { isRoot, type User } from "../served.ts";

/** Headings of the page. */
export type Kind =
  | "the machine"
  | "containers, as they are"
  | "containers, imitated"
  | "units, as they are"
  | "unit options"
  | "file systems"
  | "limits"
  | "kernel settings"
  | "filters";

export interface Place {
  readonly name: string;
  readonly kind: Kind;
  /** Words of a command that root executes, followed by what is to be executed within; the ordinary user is become after it. */
  readonly outer?: readonly string[];
  /** The same, after that: what keeps one from becoming another user, such as a filter. */
  readonly inner?: readonly string[];
  /** Changes of the bounding set, as setpriv has them. */
  readonly caps?: readonly string[];
  /** Where the executable, look.sh and the configs are in there; otherwise where they are for all. */
  readonly root?: "/look";
  /** A command that executes another there as this user, instead of all these. */
  readonly enter?: (user: User) => readonly string[];
  /** More variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of `serve`. */
  readonly serve?: readonly string[];
  /** Where the same user is outside and inside. */
  readonly users?: readonly User[];
  /** Why this machine has no such place; undefined: it has. */
  readonly missing?: () => string | undefined;
}

/** Becomes the user, with less that it may ever have. */
export function drop(user: User, caps: readonly string[] = []): string[] {
  const words = [
    ...(caps.length > 0 ? [`--bounding-set=${caps.join(",")}`] : []),
    ...(isRoot && user !== "root"
      ? [`--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"]
      : []),
  ];
  return words.length > 0 ? ["setpriv", ...words] : [];
}

export const within = ({ outer = [], inner = [], caps, enter }: Place, user: User): string[] =>
  enter ? [...enter(user)] : [...outer, ...drop(user, caps), ...inner];
