/** One boot of the virtual machine, from the start of QEMU to its end. */
import { createWriteStream } from "node:fs";
import type { Target } from "./arch.ts";
import { parse, type Said } from "./protocol.ts";
import { monitor } from "./qmp.ts";

export interface Boot {
  readonly target: Target;
  readonly kernel: string;
  readonly root: string;
  readonly initramfs: string | undefined;
  /** A second disk. */
  readonly suites: string;
  /** `tcg` or `kvm`. Never found out by looking: /dev/kvm may be there and not work. */
  readonly accel: string;
  /** More words for the kernel command line, such as init=. */
  readonly append: readonly string[];
  /** File of the console's output. */
  readonly log: string;
  /** Milliseconds without a word of the tests after which the machine is taken for hung. */
  readonly silence: number;
  readonly onSaid: (said: Said) => void;
}

/** Nothing written in the machine reaches the image. */
const disk = (name: string, file: string): string[] => [
  ...["-drive", `if=none,id=${name},file=${file},format=raw,snapshot=on`],
  ...["-device", `nvme,drive=${name},serial=${name}`],
];

/** ms from the end of the tests to the end of the machine, by its own doing or by ours; for an emulated one that is slow. */
const POWER_OFF = 240_000;

/** Lines of the console that are told of a machine that did not end. */
const LAST = 12;

export interface Ended {
  /** Whether the tests inside came to their end, and the machine to its own where it is to end itself. */
  readonly whole: boolean;
  /** The last lines of the console: where it was when it did not. */
  readonly last: readonly string[];
  /** Seconds of the host's processors. */
  readonly processor: number;
}

export async function boot(options: Boot): Promise<Ended> {
  const { target, accel } = options;
  // One that is to end asleep must, or say why it cannot: a crash would look like a power-off.
  let awake = options.append.includes("spawnbox.end=suspend");
  // Where its own end is not what is tried, it is not waited for: what an emulated machine does to power off may take minutes on a
  // host that is busy, and shows nothing of spawnbox.
  const endsItself = options.append.some((word) => word.startsWith("spawnbox.end="));
  using qmp = monitor(() => {
    awake = false;
    options.onSaid({ kind: "ok", name: "power: suspend stops the machine" });
  });
  const qemu = Bun.spawn(
    [
      target.qemu,
      "-nographic",
      "-no-reboot",
      "-nodefaults",
      ...["-serial", "stdio", "-monitor", "none", ...qmp.args],
      ...target.machine,
      ...["-accel", accel === "tcg" ? "tcg,thread=multi" : accel],
      ...["-smp", "2", "-m", "1536"],
      ...["-kernel", options.kernel],
      ...(options.initramfs === undefined ? [] : ["-initrd", options.initramfs]),
      "-append",
      [
        `console=${target.console}`,
        "root=/dev/nvme0n1",
        "rw",
        "panic=-1",
        "loglevel=4",
        // Against processors that this one is not; what they do is slow to emulate.
        "mitigations=off",
        // The kernel panics where no tick comes for a moment, as on a host that is busy: "IO-APIC + timer doesn't work".
        ...(target.arch === "x64" ? ["no_timer_check"] : []),
        "systemd.show_status=false",
        ...options.append,
      ].join(" "),
      ...disk("root", options.root),
      ...disk("suites", options.suites),
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const stop = () => qemu.kill("SIGKILL");
  let hung = false;
  const hang = (ms: number) =>
    setTimeout(() => {
      hung = true;
      stop();
    }, ms);
  let guard = hang(options.silence);
  // The machine does not outlive who started it.
  let signalled: string | undefined;
  const end = (signal: string) => {
    signalled = signal;
    stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  const log = createWriteStream(options.log);
  let done = false;
  let rest = "";
  const last: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of qemu.stdout) {
    log.write(chunk);
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r*\n/);
    rest = lines.pop() ?? "";
    last.push(...lines);
    last.splice(0, last.length - LAST);
    for (const line of lines) {
      const said = parse(line);
      if (!said) continue;
      options.onSaid(said);
      clearTimeout(guard);
      if (said.kind === "done") {
        done = true;
        if (!endsItself) qmp.quit();
      }
      if (done && said.kind === "skipped") awake = false;
      guard = hang(done ? POWER_OFF : options.silence);
    }
  }
  await qemu.exited;
  clearTimeout(guard);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, end);
  await new Promise((resolve) => log.end(resolve));
  if (signalled !== undefined) throw new Error(`ended by ${signalled}`);
  const spent = qemu.resourceUsage()?.cpuTime.total ?? 0;
  return { whole: done && !hung && !awake, last: [...last, rest], processor: Number(spent) / 1e6 };
}
