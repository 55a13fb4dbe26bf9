/** What the kernel, its libraries and our own process say of themselves. See proc(5). */
import { closeSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { missingCall, type KernelCall } from "../../ffi/kernel.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { CError } from "../../ffi/errno.ts";
import { capFromName } from "../../ffi/libcap.ts";
import { memfdCreate } from "../../ffi/libc.ts";
import { libseccompVersion } from "../../ffi/libseccomp.ts";
import { confinement } from "../launch/confinement.ts";
import { hint } from "../launch/hints.ts";
import { capabilityWords } from "../plan/words.ts";
import { type Feature, missing, there } from "./feature.ts";

/** First line of a file of /proc or /sys, trimmed; undefined when this kernel does not have it or hides it. */
export function kernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    // absent: what the caller asks for
    return undefined;
  }
}

const message = (error: unknown): string => (error instanceof Error ? error.message : `${error}`);

/** What is asked. */
export interface Host {
  /** As {@link kernelFile}. */
  readonly file: (path: string) => string | undefined;
  /** The errno of a call that the kernel does not have; see kernel.ts. */
  readonly missingCall: (call: KernelCall) => string | undefined;
  readonly landlockAbi: () => number;
  /** Makes one that can be executed. Throws where there is none. */
  readonly memfd: () => void;
  /** Its version. Throws where there is none. */
  readonly libseccomp: () => string;
  /** Throws where there is none. */
  readonly libcap: () => void;
}

const THIS: Host = {
  file: kernelFile,
  missingCall,
  landlockAbi,
  memfd: () => closeSync(memfdCreate("spawnbox-doctor", true)),
  libseccomp: libseccompVersion,
  libcap: () => void capFromName("CHOWN"),
};

/** A line of /proc/self/status or /proc/self/limits. */
function ownLine({ file }: Host, of: "status" | "limits", name: string): string | undefined {
  const line = file(`/proc/self/${of}`)
    ?.split("\n")
    .find((one) => one.startsWith(name));
  return line?.slice(name.length).replace(/^:/, "").trim();
}

export function hostFeatures(host: Host = THIS): Feature[] {
  return [
    there("kernel", `Linux ${release()}, ${process.arch}`),
    ...calls(host),
    memfd(host),
    ...seccomp(host),
    library("libcap", host.libcap),
    landlock(host),
    ...ownProcess(host),
    yama(host),
  ];
}

/** How a launch does without a call that the kernel lacks, or that a filter around the server does not know. */
const INSTEAD: Readonly<Partial<Record<KernelCall, string>>> = {
  clone3: "processes are put into their groups before they go on",
  pidfd_open: "processes are held by their directories in /proc",
  openat2: "paths are walked step by step",
  close_range: "descriptors are closed one by one",
  mount_setattr: "mounts are restricted one by one",
};

function calls({ missingCall }: Host): Feature[] {
  const since: Readonly<Record<KernelCall, string>> = {
    clone3: "5.3",
    pidfd_open: "5.3",
    openat2: "5.6",
    pidfd_getfd: "5.6, and only seccomp.report and SCMP_ACT_NOTIFY do",
    close_range: "5.9",
    mount_setattr: "5.12",
  };
  return Object.entries(since).map(([name, version]) => {
    const errno = missingCall(name as KernelCall);
    if (errno === undefined) return there(name, "there");
    const other = INSTEAD[name as KernelCall];
    if (other !== undefined) return there(name, `${errno}, so ${other}`);
    const remedy =
      errno === "EPERM"
        ? "a seccomp filter around the server denies it: allow it, as by a newer container runtime"
        : `it needs Linux ${version}`;
    return missing(name, errno, remedy);
  });
}

/** In the words of a launch. */
function memfd({ memfd: make }: Host): Feature {
  try {
    make();
    return there("memfd", "executable");
  } catch (error) {
    const errno = error instanceof CError ? error.errno : "";
    const words = hint({ step: "MEMFD", errno, what: "" }, confinement());
    return missing("memfd", message(error), words);
  }
}

function seccomp({ file, libseccomp }: Host): Feature[] {
  const actions = file("/proc/sys/kernel/seccomp/actions_avail");
  const library: Feature[] = [];
  try {
    library.push(there("libseccomp", libseccomp()));
  } catch (error) {
    const remedy = "needed for seccomp rules, unless they are in a plan file: spawnbox compile";
    library.push(missing("libseccomp", message(error), remedy));
  }
  return [
    actions === undefined
      ? missing("seccomp-actions", "none", "a kernel with CONFIG_SECCOMP_FILTER")
      : there("seccomp-actions", actions),
    ...library,
  ];
}

function library(name: string, use: () => void): Feature {
  try {
    use();
    return there(name, "there");
  } catch (error) {
    return missing(
      name,
      message(error),
      "needed for caps, unless they are in a plan file: spawnbox compile",
    );
  }
}

function landlock({ file, landlockAbi }: Host): Feature {
  const abi = landlockAbi();
  if (abi > 0) return there("landlock", `version ${abi}`);
  const lsm = file("/sys/kernel/security/lsm") ?? "unknown";
  return missing(
    "landlock",
    `none; security modules: ${lsm}`,
    "Linux 5.13 with CONFIG_SECURITY_LANDLOCK and landlock in lsm=",
  );
}

/** Our own process: what it lacks, no command can have. */
function ownProcess(host: Host): Feature[] {
  const features: Feature[] = [];
  const nofile = ownLine(host, "limits", "Max open files")?.split(/\s+/)[0] ?? "unknown";
  features.push(
    Number(nofile) < 4096
      ? missing(
          "open-files",
          nofile,
          "LimitNOFILE=65536: a running task holds about five descriptors of the server",
        )
      : there("open-files", nofile),
  );
  const bounding = BigInt(`0x${ownLine(host, "status", "CapBnd") ?? "0"}`);
  const last = Number(host.file("/proc/sys/kernel/cap_last_cap") ?? "40");
  const lacking = Array.from({ length: last + 1 }, (_, cap) => cap).filter(
    (cap) => ((bounding >> BigInt(cap)) & 1n) === 0n,
  );
  features.push(
    lacking.length === 0
      ? there("bounding-set", "every capability")
      : missing(
          "bounding-set",
          `without ${lacking.map(capabilityWords).join(", ")}`,
          "no command can have these: CapabilityBoundingSet= of the unit, --cap-add of the container",
        ),
  );
  const own = ownLine(host, "status", "NoNewPrivs");
  features.push(
    own === "1"
      ? missing(
          "new-privileges",
          "no_new_privs is set on the server",
          "set-user-id programs cannot work even with newPrivs: NoNewPrivileges=no in the unit",
        )
      : there("new-privileges", "the server is not restrained"),
  );
  return features;
}

function yama({ file }: Host): Feature {
  const scope = file("/proc/sys/kernel/yama/ptrace_scope");
  if (scope !== undefined && scope !== "0") return there("yama", `ptrace_scope ${scope}`);
  const found = scope === undefined ? "not in this kernel" : "ptrace_scope 0";
  return missing(
    "yama",
    found,
    "commands of the same user can look into each other, unless their pids are private: sysctl kernel.yama.ptrace_scope=1",
  );
}
