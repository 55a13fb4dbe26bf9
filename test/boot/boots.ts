/** What is booted: one machine that is as it should be for each kernel, and those in which early boot meets something broken. */
import { INITRAMFS_KERNEL } from "./image.ts";
import type { Kernel } from "./kernel.ts";

export interface Run {
  readonly name: string;
  readonly kernel: Kernel;
  /** Words for the kernel command line. */
  readonly append: readonly string[];
  /** Boots with an initramfs in which spawnbox is installed. */
  readonly initramfs?: true;
  /** Has the Debian packages on its second disk, instead of the suites. */
  readonly packages?: true;
  /** Only asked for by its size: what it shows is seldom broken, or is shown in part by one of the others. */
  readonly large?: true;
  /** A file of the root that cannot be executed in this boot. */
  readonly disabled?: string;
}

export const SIZES = ["medium", "large"] as const;
export type Size = (typeof SIZES)[number];

export interface Wanted {
  readonly kernel?: string | undefined;
  /** A part of a name. */
  readonly boot?: string | undefined;
  /** medium leaves out what takes long. */
  readonly size: Size;
  /** Names of inside/main.ts, for the whole boots alone. */
  readonly checks?: string | undefined;
  /** Names of suites of test/sandbox, or "all" that end in an emulated machine, for boots of their own. */
  readonly suites?: string | undefined;
  /** Whether an initramfs can be made: by the host's own processor. */
  readonly native: boolean;
}

const INIT = "/usr/lib/spawnbox/init";
const HOOK = `init=${INIT}`;
/** For those that meet it: an emulated machine may be slow. */
const PATIENT = "spawnbox.deadline=300";
const path = (program: string) => `spawnbox.path=/usr/lib/spawnbox-test/${program}`;
/** What the kernel log says of early boot; such a boot runs no other checks. */
const says = (text: string) => `spawnbox.test=${text.replaceAll(" ", "+")}`;
const logs = (text: string) => `spawnbox.log=${text.replaceAll(" ", "+")}`;
/** The early server serves all the same. */
const SERVES = "spawnbox.serves";

const WHOLE: readonly Run[] = [
  { name: "the whole boot, Linux 5.10", kernel: "5.10", append: [] },
  { name: "the whole boot", kernel: "6.1", append: [], large: true },
];
/** In machines of their own, since they take as long again. */
const SUITES: readonly Run[] = [
  { name: "the suites, Linux 5.10", kernel: "5.10", append: [], large: true },
  { name: "the suites", kernel: "6.1", append: [], large: true },
];
/** Unless others are wanted: `npm test` runs them on a new kernel. */
const SUITES_OF_KERNEL: Readonly<Record<Kernel, string | undefined>> = {
  "6.1": undefined,
  "5.10": "some",
};

const BROKEN: readonly Run[] = [
  {
    name: "boot without a server",
    large: true,
    kernel: "6.1",
    append: [HOOK, path("no-such-file"), says("cannot execute"), "spawnbox.end=reboot"],
  },
  {
    name: "boot with a server that hangs",
    large: true,
    kernel: "6.1",
    append: [
      ...[HOOK, "spawnbox.deadline=1", path("hang")],
      ...[says("deadline passed"), "spawnbox.end=reboot-now"],
    ],
  },
  {
    name: "boot with a server that is late",
    large: true,
    kernel: "6.1",
    append: [
      HOOK,
      "spawnbox.deadline=1",
      path("late"),
      says("deadline passed"),
      SERVES,
      "spawnbox.end=suspend",
    ],
  },
  {
    name: "boot with a broken config",
    kernel: "6.1",
    append: [
      ...[HOOK, PATIENT, path("broken"), says("the early server ended before its tasks were done")],
      // All of what it says: the first of the problems, and the last line.
      logs("sandboxes[0].nonsense: unknown key"),
      logs("not started: 20 problem(s) above"),
    ],
  },
  {
    name: "boot with a read-only root",
    large: true,
    kernel: "6.1",
    append: [HOOK, PATIENT, "ro", says("early tasks done"), SERVES],
  },
  {
    name: "boot with a full root and no /tmp",
    large: true,
    kernel: "6.1",
    append: [
      ...["init=/usr/lib/spawnbox-test/fill", PATIENT],
      ...[says("early tasks done"), SERVES, "spawnbox.full"],
    ],
  },
];

/** The other hierarchies of control groups that systemd makes. */
const HIERARCHIES: readonly Run[] = [
  {
    name: "boot with control groups v1",
    large: true,
    kernel: "6.1",
    append: [
      "systemd.unified_cgroup_hierarchy=0",
      "systemd.legacy_systemd_cgroup_controller=1",
      "spawnbox.checks=hierarchy",
      "spawnbox.hierarchy=v1",
    ],
  },
  {
    name: "boot with hybrid control groups",
    large: true,
    kernel: "5.10",
    append: [
      "systemd.unified_cgroup_hierarchy=0",
      "systemd.legacy_systemd_cgroup_controller=0",
      "spawnbox.checks=hierarchy",
      "spawnbox.hierarchy=hybrid",
    ],
  },
];

/** What apt does on a board that was made without spawnbox. */
const PACKAGES: readonly Run[] = [
  {
    name: "boot with Debian packages",
    kernel: "6.1",
    append: ["spawnbox.checks=packages"],
    packages: true,
  },
];

/** With a security module that tells who has connected. */
const LABELS: readonly Run[] = [
  {
    name: "boot with labels of SELinux",
    large: true,
    kernel: "6.1",
    append: ["security=selinux", "selinux=1", "enforcing=0", "spawnbox.checks=peer"],
  },
];

/** By way of an initramfs, which starts, in the end, the init named here. */
const starts = (init: string) => `spawnbox.starts=${init}`;

const INITRAMFS: readonly Run[] = [
  {
    name: "boot with an initramfs",
    kernel: INITRAMFS_KERNEL,
    append: [PATIENT, "spawnbox.checks=early", starts("/sbin/init")],
    initramfs: true,
  },
  {
    name: "boot with an initramfs and no init of early boot",
    large: true,
    kernel: INITRAMFS_KERNEL,
    append: [
      "init=/lib/systemd/systemd",
      says(`${INIT} of the root cannot be executed`),
      starts("/lib/systemd/systemd"),
    ],
    initramfs: true,
    disabled: INIT,
  },
];

/** The longest first, so that none of them is begun last. */
export function boots({ kernel, boot = "", size, checks, suites, native }: Wanted): Run[] {
  const word = (name: string, value?: string) => (value ? [`spawnbox.${name}=${value}`] : []);
  const whole = WHOLE.map((run) => ({
    ...run,
    append: [HOOK, PATIENT, ...word("size", size), ...word("checks", checks)],
  }));
  const ofSandbox = SUITES.flatMap((run) => {
    const names = suites ?? (checks === undefined ? SUITES_OF_KERNEL[run.kernel] : undefined);
    if (names === undefined) return [];
    return {
      ...run,
      append: [HOOK, PATIENT, ...word("checks", "suites"), ...word("suites", names)],
    };
  });
  const others = [...BROKEN, ...HIERARCHIES, ...PACKAGES, ...LABELS, ...(native ? INITRAMFS : [])];
  const runs = [...ofSandbox, ...whole, ...(checks === undefined ? others : [])];
  return runs.filter(
    (run) =>
      (kernel === undefined || run.kernel === kernel) &&
      run.name.includes(boot) &&
      (size === "large" || !run.large),
  );
}
