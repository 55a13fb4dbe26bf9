/** namespace.mounts → the steps that build the new root. See mount_setattr(2), tmpfs(5), devpts in the kernel's documentation. */
import { posix } from "node:path";
import type { Mount, Namespace } from "../config/sandbox-schema.ts";
import { covers } from "./inside.ts";
import type { Machine } from "./machine.ts";
import { missingBelow } from "./mount-place.ts";
import type { Identity, MountFlags, MountStep, NamespaceName } from "./policy.ts";
import { procSteps } from "./proc.ts";
import type { Report } from "./report.ts";
import { parseSize } from "./size.ts";
import { heldNotice, isRoots, type Missing, resolveSource, seen, type Source } from "./source.ts";

const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"] as const;
const LOCKED: MountFlags = { readonly: false, nosuid: true, nodev: true, noexec: true };
const DEVICE: MountFlags = { readonly: false, nosuid: true, nodev: false, noexec: true };

/** The minimal /dev: six devices, the links that shells use, pseudo terminals of its own, an empty shm; then read-only. */
function devSteps(target: string): MountStep[] {
  const at = (name: string) => posix.join(target, name);
  return [
    { kind: "tmpfs", target, size: "64k", mode: 0o755, flags: { ...LOCKED, nodev: false } },
    ...DEVICES.map((name): MountStep => ({
      kind: "bind",
      source: `/dev/${name}`,
      target: at(name),
      device: true,
      flags: DEVICE,
    })),
    { kind: "symlink", target: at("fd"), text: "/proc/self/fd" },
    { kind: "symlink", target: at("stdin"), text: "/proc/self/fd/0" },
    { kind: "symlink", target: at("stdout"), text: "/proc/self/fd/1" },
    { kind: "symlink", target: at("stderr"), text: "/proc/self/fd/2" },
    { kind: "devpts", target: at("pts") },
    { kind: "symlink", target: at("ptmx"), text: "pts/ptmx" },
    { kind: "tmpfs", target: at("shm"), size: "64m", mode: 0o1777, flags: LOCKED },
    { kind: "seal", target },
  ];
}

/** hosts(5) of a network of its own. The name has an address of its own, as Debian does, so that this leads back to the name. */
const HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t";

/** A name that the config gives is set after the files are made; any other is the host's, and may change until then. */
function hostsFile(target: string, mode: number, { own, hostname }: MountContext): MountStep {
  const given = own.has("uts") ? hostname : undefined;
  const content = new TextEncoder().encode(given === undefined ? HOSTS : `${HOSTS}${given}\n`);
  return { kind: "file", target, content, mode, ...(given === undefined && { named: true }) };
}

const SET_ID = 0o6000;

const ROOT = "/";

/** Of an execfd file, bytes. */
const MOST_CONTENT = 16 * 1024 * 1024;

export interface MountContext {
  readonly own: ReadonlySet<NamespaceName>;
  readonly identity: Identity | undefined;
  /** What the config gives. */
  readonly hostname: string | undefined;
  readonly machine: Machine;
  readonly expand: (text: string) => string;
  readonly notice: (message: string) => void;
  /** Is told what is asked for of the host, and where. */
  readonly asked?: (at: string, step: MountStep) => void;
}

/** A path inside the sandbox in normal form. The root can be a directory of the host, on which the rest is mounted. */
function targetOf(mount: Mount, first: boolean, expand: (text: string) => string): string {
  const target = expand(mount.target);
  if (!target.startsWith("/"))
    throw new Error(`target ${JSON.stringify(target)} must be an absolute path`);
  if (target.split("/").includes(".."))
    throw new Error(`target ${JSON.stringify(target)} must not contain ".."`);
  if (target.includes("\0")) throw new Error("target contains a NUL byte");
  const normal = posix.normalize(target).replace(/(.)\/$/, "$1");
  if (normal === ROOT && (mount.mode ?? "ro") !== "ro")
    throw new Error(`target "/" can only be "ro": mount what is to be writable below it`);
  if (normal === ROOT && !first)
    throw new Error(`target "/" must be the first mount, since it would hide those before it`);
  return normal;
}

const missingOf = (mount: Mount, autocreate: boolean): Missing =>
  mount.optional ? "looked for at each launch" : autocreate ? "made" : "refused";

function sourceOf(mount: Mount, missing: Missing, context: MountContext): Source {
  const source = context.expand(mount.source ?? mount.target);
  if (!source.startsWith("/"))
    throw new Error(`source ${JSON.stringify(source)} must be an absolute path`);
  const { machine, identity } = context;
  return resolveSource(source, missing, machine, identity);
}

/** What a config asks for, and the mount of the host that the source lies on lets nobody do. */
function tellRefused(
  mount: Mount,
  path: string,
  asked: MountFlags,
  { machine: { files }, notice }: MountContext,
): void {
  if (!seen(files, path)) return;
  const host = files.mountFlags(path);
  const refused: [boolean, string, string][] = [
    [host.readonly && !asked.readonly, "read-only", "nothing can be written there"],
    [host.nodev && !asked.nodev, "nodev", "no device can be opened there"],
    [host.nosuid && !asked.nosuid, "nosuid", '"suid" has no effect'],
    [host.noexec && mount.exec === true, "noexec", "nothing can be executed there"],
  ];
  for (const [is, what, so] of refused)
    if (is) notice(`source ${path} lies on a ${what} mount of this machine: ${so}`);
}

/** Its links are followed at each launch, where a command cannot have made them. */
function bindStep(
  { path: source, asked, links }: Source,
  target: string,
  flags: MountFlags,
  missing: Missing,
  { machine, notice, identity }: MountContext,
): MountStep {
  const held = links.find((link) => !isRoots(link, machine.files));
  if (held !== undefined)
    notice(heldNotice(`source ${asked}`, held, "which others than root can change"));
  return {
    kind: "bind",
    source,
    target,
    flags,
    ...(held === undefined && { asked, links }),
    ...(missing === "looked for at each launch" && { optional: true }),
    ...(missing === "made" && {
      made: { ...(identity && { owner: { uid: identity.uid, gid: identity.gid } }) },
    }),
  };
}

/** The modes that a key means something to. */
const HAVE: Readonly<Record<"source" | "size" | "perm", readonly string[]>> = {
  source: ["ro", "rw", "symlink", "execfd"],
  size: ["tmpfs", "dir"],
  perm: ["tmpfs", "dir", "execfd", "hosts"],
};

function compileMount(
  mount: Mount,
  autocreate: boolean,
  earlier: readonly MountStep[],
  context: MountContext,
): MountStep[] {
  const target = targetOf(mount, earlier.length === 0, context.expand);
  const mode = mount.mode ?? "ro";
  const perm = mount.perm === undefined ? undefined : Number.parseInt(mount.perm, 8);
  const flags = (readonly: boolean, source = ""): MountFlags => ({
    readonly,
    nosuid: !(mount.suid ?? false),
    // Who mounts something out of /dev wants the device.
    nodev: !(mount.dev ?? (source === "/dev" || source.startsWith("/dev/"))),
    noexec: !(mount.exec ?? true),
  });
  if (mount.optional && mode !== "ro" && mode !== "rw")
    throw new Error(
      `optional is for what the host may not have, and "${mode}" needs nothing of it`,
    );
  for (const key of ["source", "size", "perm"] as const)
    if (mount[key] !== undefined && !HAVE[key].includes(mode))
      context.notice(`${key} has no effect with the mode "${mode}"`);
  // Where it means nothing it may be anything.
  const size = () => (mount.size === undefined ? {} : { size: sizeOf(mount.size) });
  switch (mode) {
    case "ro":
    case "rw": {
      const missing = missingOf(mount, autocreate);
      const source = sourceOf(mount, missing, context);
      const asked = flags(mode === "ro", source.path);
      tellRefused(mount, source.path, asked, context);
      return [bindStep(source, target, asked, missing, context)];
    }
    case "symlink": {
      if (!mount.source) throw new Error("a symlink needs a source: the text of the link");
      return [{ kind: "symlink", target, text: context.expand(mount.source) }];
    }
    case "tmpfs": {
      return [{ kind: "tmpfs", target, ...size(), mode: perm ?? 0o1777, flags: flags(false) }];
    }
    case "dir": {
      // Below something of the host it is just a directory there; elsewhere it is the command's own, and writable.
      const below = earlier.some(
        (step) =>
          step.kind === "bind" && step.target !== ROOT && target.startsWith(`${step.target}/`),
      );
      if (below) {
        // mkdir(2) passes over them.
        if (perm !== undefined && (perm & SET_ID) !== 0) {
          throw new Error(
            `perm ${mount.perm}: a directory that is made below a mount of the host gets no set-user-id or set-group-id bit`,
          );
        }
        if (mount.size !== undefined)
          context.notice("size has no effect: it is a directory of what is mounted above it");
        return [{ kind: "dir", target, mode: perm ?? 0o755 }];
      }
      const owner = context.identity && { uid: context.identity.uid, gid: context.identity.gid };
      return [
        {
          kind: "tmpfs",
          target,
          ...size(),
          mode: perm ?? 0o755,
          flags: flags(false),
          ...(owner && { owner }),
        },
      ];
    }
    case "dev":
      return devSteps(target);
    case "proc":
      return procSteps(target, context.own.has("pid"), context.machine.exists);
    case "sys":
      // The devices of a private network are in a sysfs of its own; otherwise the host's is shown.
      return context.own.has("net")
        ? [{ kind: "sys", target }]
        : [{ kind: "bind", source: "/sys", target, flags: { ...LOCKED, readonly: true } }];
    case "mqueue":
      if (context.own.has("user") && !context.own.has("ipc")) {
        throw new Error(
          `the message queues of the host cannot be mounted from a user namespace: set shares.ipc to "disable" for its own, or mount ${target} from the host's, with "source": "/dev/mqueue"`,
        );
      }
      return [{ kind: "mqueue", target }];
    case "execfd": {
      if (mount.source === undefined)
        throw new Error("execfd needs a source: a shell command whose output is the file");
      const content = Uint8Array.from(context.machine.output(context.expand(mount.source)));
      if (content.length > MOST_CONTENT) {
        throw new Error(
          `the output has ${content.length} bytes; each launch copies it, so at most ${MOST_CONTENT} (16M)`,
        );
      }
      return [{ kind: "file", target, content, mode: perm ?? 0o444 }];
    }
    case "hosts":
      return [hostsFile(target, perm ?? 0o444, context)];
    case "lock":
      if (!context.own.has("pid")) {
        throw new Error(
          'a lock is held by the init of a pid namespace: set shares.pid to "disable"',
        );
      }
      return [{ kind: "lock", target }];
  }
}

/** In pages, a tmpfs larger than this would wrap around, at last to 0, which is no limit. */
const LARGEST_TMPFS = 1n << 62n;

/** Size of a tmpfs in bytes, since the kernel would read a number with a leading 0 as octal. */
function sizeOf(text: string): string {
  const size = parseSize(text);
  if (!size) throw new Error(`size ${JSON.stringify(text)}: a number with K, M or G, such as 64M`);
  if (size > LARGEST_TMPFS)
    throw new Error(`size ${JSON.stringify(text)}: at most ${LARGEST_TMPFS} bytes`);
  return `${size}`;
}

/** Modes that show what is on the host. */
const SHOWS: ReadonlySet<Mount["mode"]> = new Set([undefined, "ro", "rw"]);

/** The whole new root, in the order of the config; undefined keeps the host's file system. */
export function compileMounts(
  namespace: Namespace | undefined,
  path: string,
  context: Omit<MountContext, "notice">,
  report: Report,
): MountStep[] | undefined {
  const mounts = namespace?.mounts ?? [];
  if (mounts.length === 0) return undefined;
  const steps: MountStep[] = [];
  for (const [i, mount] of mounts.entries()) {
    const at = `${path}.mounts[${i}]`;
    const notice = (message: string) => report.notice(at, message);
    const compiled = report.attempt(at, () =>
      compileMount(mount, namespace?.opts?.autocreate ?? false, steps, { ...context, notice }),
    );
    const missing = compiled && missingBelow(compiled, steps, context.machine.files);
    if (missing !== undefined) report.problem(`${path}.mounts[${i}].target`, missing);
    if (compiled) steps.push(...compiled);
    if (SHOWS.has(mount.mode)) for (const step of compiled ?? []) context.asked?.(at, step);
  }
  tellRoot(steps, path, report);
  return sealLast(steps);
}

/** What of the host's root is of no use, or is more than a sandbox should see. */
function tellRoot(steps: readonly MountStep[], path: string, report: Report): void {
  const [root, ...others] = steps;
  if (root?.kind !== "bind" || root.target !== ROOT) return;
  const has = (place: string) => others.some(({ target }) => target === place);
  if (root.source === ROOT && !has("/proc")) {
    report.notice(
      `${path}.mounts[0]`,
      'shows the /proc of the host, read-only: add {"target": "/proc", "mode": "proc"} for one of its own',
    );
  }
  if (!has("/dev") && root.flags.nodev) {
    report.notice(
      `${path}.mounts[0]`,
      'no device works there, not even /dev/null: add {"target": "/dev", "mode": "dev"}',
    );
  }
}

/** A mount is sealed once all that is to lie below it is there, and not at all if another one has replaced it. */
function sealLast(steps: readonly MountStep[]): MountStep[] {
  const seals = steps.filter((step, i) => {
    if (step.kind !== "seal") return false;
    return !steps
      .slice(i + 1)
      .some((later) => later.kind !== "seal" && covers(later.target, step.target));
  });
  return [...steps.filter((step) => step.kind !== "seal"), ...seals];
}
