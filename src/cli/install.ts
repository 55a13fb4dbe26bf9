/** `spawnbox install`: the whole deployment of a board, out of the one executable that was copied there. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import {
  CONFIG_DIR,
  EARLY,
  INIT,
  INITRAMFS,
  type InstalledFile,
  SERVICE,
  UNIT,
  UNIT_PATH,
} from "../install/files.ts";
import { refuseOtherArchitecture } from "../install/architecture.ts";
import { hasInitramfsTools, updateInitramfs } from "../install/initramfs.ts";
import { inside } from "../install/inside.ts";
import { packagedUnit, removeEnablement } from "../install/unit.ts";
import {
  Former,
  isThere,
  place,
  type Placed,
  placeOf,
  putBack,
  refuseMasked,
  remove,
} from "../install/place.ts";
import { run as must } from "../install/run.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions } from "../manual/options.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  early: {
    text: `the init of early boot too, ${INIT}, which runs ${CONFIG_DIR}/early.json before systemd`,
  },
  initramfs: {
    text: "that, and a script for initramfs-tools, by which every boot starts it: no boot loader is touched",
  },
  root: {
    argument: "DIR",
    text: "into the root file system of an image instead of this machine; nothing is started",
    path: "directory",
  },
  "no-start": { text: "do not start, restart or enable the service" },
  uninstall: { text: "stops the service and removes all but the configs" },
} as const;

export const manual: Manual = {
  name: "spawnbox install",
  synopsis: ["[--early | --initramfs] [--root DIR] [--no-start]", "--uninstall [--root DIR]"],
  about: `Installs this executable, its systemd unit and ${CONFIG_DIR} with a sample config, and starts the service. What is
there already is brought up to date; configs are never overwritten or removed.`,
  options: OPTIONS,
  exit: "0, 1 when something could not be done, 2 wrong usage.",
};

interface Options {
  early: boolean;
  initramfs: boolean;
  root: string;
  start: boolean;
  uninstall: boolean;
}

export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, change);

function change(options: Options): number {
  // Others than root read the program and its directories, whatever root's shell is told about new files.
  process.umask(0o022);
  try {
    if (options.uninstall) uninstall(options);
    else install(options);
    return 0;
  } catch (error) {
    console.error(`spawnbox install: ${error instanceof Error ? reason(error) : String(error)}`);
    return 1;
  }
}

function parse(argv: string[]): Options | undefined {
  const values = readOptions(OPTIONS, argv);
  if (!values) return undefined;
  const { initramfs, uninstall } = values;
  const early = values.early || initramfs;
  if (early && uninstall)
    throw new UsageError("--uninstall removes early boot too, without --early or --initramfs");
  const { root: named = "/" } = values;
  if (!existsSync(named) || !statSync(named).isDirectory())
    throw new UsageError(`--root ${named}: no such directory`);
  // However it is written, `/` is this machine.
  const root = realpathSync(named);
  return { early, initramfs, root, start: !values["no-start"] && root === "/", uninstall };
}

/** What the system says, and what to do. */
export function reason(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  if (code === "EACCES" || code === "EPERM") {
    const todo =
      process.geteuid?.() === 0
        ? "not even root may: see whether it is immutable (lsattr), or of another machine"
        : "run it as root";
    return `${error.message}: ${todo}`;
  }
  if (code === "ENOSPC" || code === "EDQUOT")
    return `${error.message}: make room; the old file stays until the new one is complete`;
  if (code === "EROFS")
    return `${error.message}: remount it writable, or make it part of the image`;
  return error.message;
}

function install({ early, initramfs, root, start }: Options): void {
  if (!import.meta.dir.startsWith("/$bunfs"))
    throw new Error("this is not the executable; build it with npm run build, and run that");
  if (initramfs && !hasInitramfsTools(root)) {
    throw new Error(
      "--initramfs: initramfs-tools is not installed there, and it makes no other's initramfs: " +
        `take --early, and put init=${INIT} on the kernel command line`,
    );
  }
  const files = [...SERVICE, ...(early ? EARLY : []), ...(initramfs ? [INITRAMFS] : [])];
  refuseOtherArchitecture(root);
  refuseMasked(files, root);
  const placed = new Map<InstalledFile, Placed>();
  const ofPackage = packagedUnit(root);
  using before = new DisposableStack();
  const former = start
    ? files.filter(({ sample }) => !sample).map((file) => before.use(new Former(file, root)))
    : [];
  for (const file of files) {
    // One in /etc would hide that of a package for good, whatever later versions of it say: see systemd.unit(5).
    if (ofPackage !== undefined && file.path === UNIT_PATH) {
      // Of an installation from before the package came. What enabled it led to this file, and is made anew.
      if (remove(file, root)) {
        console.log(`removed   ${placeOf(file, root)}`);
        if (start) removeEnablement(UNIT, root);
        placed.set(file, "updated");
      }
      console.log(`packaged  ${ofPackage}`);
      continue;
    }
    const how = place(file, root);
    placed.set(file, how);
    console.log(`${how.padEnd(9)} ${placeOf(file, root)}`);
  }
  if (start) {
    const changed = SERVICE.filter((file) => placed.get(file) === "updated");
    startService(changed.length > 0, { putBack: () => putBack(former) });
  }
  if (root !== "/") console.log(`to be started at boot: systemctl --root=${root} enable ${UNIT}`);
  const hooked = placed.get(INITRAMFS) ?? "unchanged";
  if (hooked !== "unchanged" && root === "/") updateInitramfs();
  if (early) console.log(earlyAdvice(root));
}

const hasSystemd = (): boolean => existsSync("/run/systemd/system");

/**
 * @param changed what it runs is not what is installed any more
 * @param putBack what was there before, where that is possible: one that ran must not be gone because of a new version, which may
 * refuse its configs, on a board that is far away
 */
export function startService(
  changed: boolean,
  { isThere = hasSystemd(), systemctl = "systemctl", putBack = (): boolean => false } = {},
): void {
  if (!isThere) {
    console.log(
      `systemd does not run here: ${UNIT} is not started; at boot: systemctl enable ${UNIT}`,
    );
    return;
  }
  must(systemctl, "daemon-reload");
  must(systemctl, "enable", "--quiet", UNIT);
  const wasActive = succeeds(systemctl, "is-active", "--quiet", UNIT);
  if (!wasActive) must(systemctl, "start", UNIT);
  else if (changed) {
    try {
      must(systemctl, "restart", UNIT);
    } catch (error) {
      if (!(error instanceof Error) || !putBack()) throw error;
      succeeds(systemctl, "daemon-reload");
      const runs = succeeds(systemctl, "restart", UNIT);
      throw new Error(
        `${error.message}\nWhat was there before is back, and ${runs ? "runs" : "does not run either"}: ` +
          `see journalctl -u spawnbox, and spawnbox check ${CONFIG_DIR} of the new version`,
        { cause: error },
      );
    }
  }
  const did = wasActive ? (changed ? "restarted" : "runs already") : "started";
  console.log(`${did.padEnd(9)} ${UNIT}: journalctl -u spawnbox`);
}

function uninstall({ root, start }: Options): void {
  if (isBootedFrom(root)) {
    throw new Error(
      `${INIT} is what the kernel starts: without it this machine would not boot. ` +
        `Take init=${INIT} off the kernel command line first, and any link to it away from /sbin/init`,
    );
  }
  const ofPackage = packagedUnit(root);
  // By its name, which is that of the package's unit too.
  if (start && hasSystemd() && existsSync(UNIT_PATH) && ofPackage === undefined)
    must("systemctl", "disable", "--now", "--quiet", UNIT);
  const removed = new Set<InstalledFile>();
  for (const file of [...SERVICE, ...EARLY, INITRAMFS]) {
    const path = placeOf(file, root);
    // The unit of a package starts the program of that place at each boot, whoever has put it there.
    const isOfPackage = ofPackage !== undefined && file.path.startsWith("/usr/");
    if (file.sample || isOfPackage) {
      const why = isOfPackage ? `: a package brings ${ofPackage}, remove that package` : "";
      if (isThere(path)) console.log(`kept      ${path}${why}`);
    } else if (remove(file, root)) {
      console.log(`removed   ${path}`);
      removed.add(file);
    }
  }
  if (ofPackage === undefined)
    for (const link of removeEnablement(UNIT, root)) console.log(`removed   ${link}`);
  if (start && hasSystemd()) {
    must("systemctl", "daemon-reload");
    // One that had failed would be listed without its file.
    if (ofPackage === undefined) succeeds("systemctl", "reset-failed", UNIT);
    // What runs is still as the unit had it that is gone.
    else if ([...removed].some(({ path }) => path === UNIT_PATH))
      must("systemctl", "try-restart", UNIT);
  }
  // One that still has the script boots all the same.
  if (root === "/" && removed.has(INITRAMFS) && hasInitramfsTools(root)) updateInitramfs();
}

/** By the command line of this boot, which is likely that of the next, or by a link. */
export function isBootedFrom(root: string, cmdline = ownCmdline()): boolean {
  const init = inside(root, INIT);
  if (existsSync(init) && inside(root, "/sbin/init") === init) return true;
  return root === "/" && startsInit(cmdline);
}

const ownCmdline = (): string => readFileSync("/proc/cmdline", "utf8");
const startsInit = (cmdline: string): boolean => cmdline.split(/\s+/).includes(`init=${INIT}`);

export function earlyAdvice(root: string, cmdline = ownCmdline()): string {
  if (startsInit(cmdline)) return "the kernel starts it: the next boot takes what is new";
  if (existsSync(placeOf(INITRAMFS, root)))
    return (
      (root === "/" ? "" : `make its initramfs anew: chroot ${root} update-initramfs -u\n`) +
      "the initramfs starts it; with spawnbox.early=off on the kernel command line a boot is without it"
    );
  return (
    `put init=${INIT} on the kernel command line (U-Boot: bootargs) and reboot; ` +
    "spawnbox.deadline=SECONDS there says how long early tasks may hold up the boot"
  );
}

const succeeds = (...command: string[]): boolean =>
  Bun.spawnSync(command, { stdio: ["ignore", "ignore", "ignore"] }).exitCode === 0;
