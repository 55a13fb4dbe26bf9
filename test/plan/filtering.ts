/** The filter that rules of a config become, and what it answers to a call. */
import { thisMachine } from "../../src/plan/machine.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { compiled, planOf } from "./compiling.ts";

export const acls = { user: "nobody" };
export const ALLOW = "SCMP_ACT_ALLOW";
export const filterOf = (seccomp: object, arch: string = process.arch) => {
  const program = planOf(compiled({ acls, seccomp }, { ...thisMachine(arch), privileged: true }))
    .policy.seccomp;
  if (!program) throw new Error("no filter");
  return program;
};

export const number = (name: string): number => {
  const found = thisMachine("x64").syscall(name);
  if (found === undefined || found < 0) throw new Error(name);
  return found;
};
export const answers = (rules: object[], name: string, ...args: bigint[]) =>
  answer(
    filterOf(
      { default: "SCMP_ACT_ERRNO(EPERM)", rules: [{ syscall: "execve", action: ALLOW }, ...rules] },
      "x64",
    ),
    number(name),
    args,
  );
export const rule = (syscall: string, action: string, ...args: object[]) => ({
  syscall,
  action,
  args,
});
export const allow = parseAction(ALLOW);
export const eperm = parseAction("ERRNO(EPERM)");
export const exdev = parseAction("ERRNO(EXDEV)");
