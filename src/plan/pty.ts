/**
 * "pty" → a terminal of the command's own: where it comes from, its size, and the filter that goes with it. See pts(4),
 * ioctl_tty(2).
 */
import type { Architecture } from "../../ffi/libseccomp.ts";
import type { Command } from "../config/command-schema.ts";
import { Assembly } from "./assembly.ts";
import { covers } from "./inside.ts";
import type { MountStep, Policy, PtyPolicy } from "./policy.ts";
import { ACTIONS, errnoAction } from "./seccomp-action.ts";
import { constants } from "node:os";

/** What terminals have had since the VT100. */
const SIZE = { columns: 80, rows: 24 } as const;
const MULTIPLEXER = "/dev/ptmx";

/** Numbers of ioctl(2), by AUDIT_ARCH_… of linux/audit.h. x32 has one of its own besides that of x86_64, and a bit. */
const ABIS: Readonly<Record<Architecture, readonly (readonly [number, readonly number[]])[]>> = {
  x64: [
    [0xc000003e, [16, 514]],
    [0x40000003, [54]],
  ],
  arm64: [
    [0xc00000b7, [29]],
    [0x40000028, [54]],
  ],
};
const X32_BIT = 0x40000000;
/** Offsets in struct seccomp_data; of the request the kernel takes the lower half, whatever is in the other. */
const DATA = { nr: 0, arch: 4, request: 24 } as const;
/** They put words into a terminal as if somebody had typed them: TIOCSTI; TIOCLINUX, by pasting on a console. */
const TYPING = { TIOCSTI: 0x5412, TIOCLINUX: 0x541c } as const;

const NOT_PERMITTED = errnoAction(constants.errno.EPERM);

/** Lets all pass but those. */
export function typingFilter(arch: Architecture): Uint8Array {
  const code = new Assembly();
  code.load(DATA.arch);
  for (const [audit] of ABIS[arch]) code.equal(audit, `abi ${audit}`);
  code.answer(ACTIONS.KILL_PROCESS);
  for (const [audit, numbers] of ABIS[arch]) {
    code.label(`abi ${audit}`).load(DATA.nr);
    if (arch === "x64") code.and(~X32_BIT);
    for (const number of numbers) code.equal(number, "ioctl");
    code.jump("go");
  }
  code.label("ioctl").load(DATA.request);
  for (const request of Object.values(TYPING)) code.equal(request, "typing");
  code.jump("go");
  code.label("typing").answer(NOT_PERMITTED);
  return code.label("go").answer(ACTIONS.ALLOW).program();
}

/** The devpts that the mounts show, unless something lies on top of it. */
function shownDevpts(mounts: readonly MountStep[]): string | undefined {
  const at = mounts.findLastIndex(({ kind }) => kind === "devpts");
  const found = mounts[at];
  const isHidden = mounts
    .slice(at + 1)
    .some((step) => step.kind !== "seal" && found && covers(step.target, found.target));
  return isHidden ? undefined : found?.target;
}

function originOf(mounts: Policy["mounts"]): PtyPolicy["origin"] {
  if (!mounts) return { kind: "machine", path: MULTIPLEXER };
  const path = shownDevpts(mounts);
  return path === undefined ? { kind: "own" } : { kind: "mounted", path };
}

/** @param asked as the config has it; undefined where that is no terminal */
export function compilePty(
  asked: Command["pty"],
  { mounts }: Pick<Policy, "mounts">,
  arch: Architecture,
): PtyPolicy | undefined {
  if (asked === undefined || asked === false) return undefined;
  const { cols = SIZE.columns, rows = SIZE.rows } = asked === true ? {} : asked;
  return { columns: cols, rows, origin: originOf(mounts), filter: typingFilter(arch) };
}
