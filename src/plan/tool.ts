/**
 * What programs that act for people may rely on: what the config says of a command, and where it says nothing, what its sandbox
 * proves. Where nothing is proved nothing is said: then they take it for what may do anything.
 */
import type { Command } from "../config/command-schema.ts";
import { isObject } from "../object.ts";
import { isHeld } from "./families.ts";
import type { Plan, ToolPlan } from "./plan.ts";
import type { MountStep, Policy } from "./policy.ts";

export function compileTool({ tool = {} }: Command, policy: Policy): Pick<Plan, "tool"> {
  const proved = provedBy(policy);
  const { destructive, idempotent, result } = tool;
  const readonly = tool.readonly ?? proved.readonly;
  const openworld = tool.openworld ?? proved.openworld;
  const plan: ToolPlan = {
    ...(readonly !== undefined && { readonly }),
    ...(destructive !== undefined && { destructive }),
    ...(idempotent !== undefined && { idempotent }),
    ...(openworld !== undefined && { openworld }),
    ...(isObject(result) && { result }),
  };
  return Object.keys(plan).length > 0 ? { tool: plan } : {};
}

type Proved = Pick<ToolPlan, "readonly" | "openworld">;
/** The commands of a sandbox have one policy. */
const known = new WeakMap<Policy, Proved>();

/** Only what it can be sure of. */
export function provedBy(policy: Policy): Proved {
  const before = known.get(policy);
  if (before) return before;
  const proved: Proved = isClosed(policy)
    ? { openworld: false, ...(changesNothing(policy) && { readonly: true }) }
    : {};
  known.set(policy, proved);
  return proved;
}

/** No socket of it leads anywhere: neither a network, nor who listens on a unix socket for this machine. */
function isClosed({ namespaces, joinNet, families, mounts }: Policy): boolean {
  if (!families || families.names.some((name) => !isHeld(name))) return false;
  const { names } = families;
  if (names.length > 0 && (!namespaces.has("net") || joinNet !== undefined)) return false;
  // Even where the place is read-only a socket in it can be connected to.
  return !names.includes("AF_UNIX") || (mounts?.every(isPlain) ?? false);
}

/** Nothing it writes outlives it, and it has no power over what else there is. */
function changesNothing({ namespaces, mounts, caps, noNewPrivs }: Policy): boolean {
  const isAlone = namespaces.has("pid") && namespaces.has("ipc");
  return isAlone && noNewPrivs && caps?.length === 0 && (mounts?.every(isUnchanging) ?? false);
}

const SYSTEM = /^\/(usr|etc|bin|sbin|lib\w*)(\/|$)/;
const SCRATCH = /^\/dev\/(null|zero|full|random|urandom|tty)$/;

/** Programs and settings: no sockets. */
const isPlain = (step: MountStep): boolean =>
  step.kind !== "bind" || SYSTEM.test(step.source) || SCRATCH.test(step.source);

/** A device is written to though its place is read-only. */
function isUnchanging(step: MountStep): boolean {
  if (step.kind === "rebind") return step.flags.readonly;
  if (step.kind !== "bind" || SCRATCH.test(step.source)) return true;
  const { readonly, nodev } = step.flags;
  return readonly && nodev;
}
