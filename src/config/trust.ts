/** Who may decide what a server does: whoever can write a file it obeys, or replace it, has the server's rights. */
import { unknownUid } from "./owners.ts";
import { type Beside, type Trust, Walk } from "./walk.ts";

/** Root, the server's user, and who called it through sudo(8), who can have its rights anyway: uids. */
export function deciders(
  uid: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
  nobody = unknownUid(),
): readonly number[] {
  const caller = env["SUDO_UID"] ?? "";
  const all = [0, uid, ...(/^\d+$/.test(caller) ? [Number(caller)] : [])];
  return all.filter((one) => one !== nobody);
}

/** Of what an ordinary user's server reads for itself nothing is asked; root's obeys only what nobody else can change. */
export const trustOf = (uid: number, beside: Beside = "others' too"): Trust | undefined =>
  uid === 0 ? { owners: deciders(uid), beside } : undefined;

/**
 * The path without links of a file that only root and the server's user can change. Nothing of others may lie beside it, since a
 * module can take in what does. For what has to be opened by name, as modules are: on the way to it there is no link any more,
 * and nobody but those two can put one there.
 * @param uid the server's user
 * @throws Error naming what others can change, and what to do
 */
export function trusted(file: string, uid: number): string {
  using walk = Walk.to(file, { owners: deciders(uid), beside: "mine only" });
  walk.refuse("file");
  return walk.path;
}
