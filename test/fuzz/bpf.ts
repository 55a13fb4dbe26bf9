/** The BPF validator against the kernel: either both take a program or neither does. */
import { join } from "node:path";
import { encode, validateProgram } from "../../src/plan/bpf.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

/** [code, jt, jf, k] */
type Words = number[];

const CODES = [
  ...[
    0x20, 0x20, 0x15, 0x25, 0x35, 0x45, 0x05, 0x06, 0x16, 0x00, 0x01, 0x02, 0x03, 0x60, 0x61, 0x80,
    0x81, 0x07, 0x87,
  ],
  ...[
    0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c,
    0x84, 0x94, 0xa4, 0xac,
  ],
  ...[0x1d, 0x2d, 0x3d, 0x4d, 0x0e, 0x28, 0x30, 0x40, 0xb1, 0x9c, 0x55, 0x100, 0xff],
] as const;
const VALUES = [
  0, 1, 2, 3, 4, 8, 15, 16, 31, 32, 60, 62, 63, 64, 0x7fff0000, 0x7fffffff, 0xffffffff,
] as const;

function program(random: Random): Words[] {
  const words = random.list(random.pick([4, 12, 40]), (): Words => {
    const code = random.once(40) ? random.below(65536) : random.pick(CODES);
    const k = random.once(10) ? random.below(2 ** 32) : random.pick(VALUES);
    return [code, random.below(random.pick([3, 256])), random.below(random.pick([3, 256])), k];
  });
  if (!random.once(6)) words.push([random.pick([0x06, 0x16]), 0, 0, random.pick(VALUES)]);
  // Most programs would jump behind their end: make many right.
  if (random.once(4)) return words;
  return words.map(([code = 0, jt = 0, jf = 0, k = 0], i) => {
    const room = words.length - i - 1;
    const near = (far: number): number => (room > 0 ? far % room : 0);
    return code === 0x05
      ? [code, jt, jf, near(k)]
      : [code, near(jt), near(jf), [2, 3, 0x60, 0x61].includes(code) ? k % 17 : k];
  });
}

function ours(bytes: Uint8Array): string {
  try {
    validateProgram(bytes);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export const bpf: Target = {
  name: "bpf",
  make: (random) => Array.from({ length: 100 }, () => program(random)),
  check(input: Json) {
    const programs = (input as number[][][]).map((words) =>
      encode(words.map(([code = 0, jt = 0, jf = 0, k = 0]) => ({ code, jt, jf, k }))),
    );
    const whole = programs.filter((bytes) => bytes.length > 0);
    const asked = Bun.spawnSync([process.execPath, join(import.meta.dir, "bpf-kernel.ts")], {
      stdin: Buffer.from(JSON.stringify(whole.map((bytes) => Buffer.from(bytes).toString("hex")))),
      timeout: 60_000,
    });
    demand(asked.success, "the kernel could not be asked", asked.stderr.toString());
    const answers = JSON.parse(asked.stdout.toString()) as string[];
    demand(answers.length === whole.length, "an answer for each program", answers);
    whole.forEach((bytes, i) => {
      const refused = ours(bytes);
      const kernel = answers[i] ?? "";
      demand(["", "EINVAL"].includes(kernel), `the kernel answered ${kernel}`);
      demand(
        (refused === "") === (kernel === ""),
        `ours: ${refused || "taken"}; kernel: ${kernel || "taken"}`,
        programs[i] && Buffer.from(bytes).toString("hex"),
      );
    });
  },
};
