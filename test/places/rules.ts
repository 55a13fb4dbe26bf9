/** Which calls a filter of filter.py answers, by their names. */
import { resolveSyscall } from "../../ffi/libseccomp.ts";
import source from "./filter.py" with { type: "text" };

export { source as filterSource };

export interface Rule {
  readonly call: string;
  readonly errno: number;
  readonly arg?: number;
  readonly is?: number;
  readonly any?: number;
  readonly all?: number;
  readonly not?: readonly number[];
}
export const EPERM = 1;
export const ENOSYS = 38;
export const EAFNOSUPPORT = 97;

/** As filter.py takes them; calls that this architecture does not have are left out. */
export const numbered = (rules: readonly Rule[]) =>
  rules.flatMap(({ call, ...rest }) => {
    const nr = resolveSyscall(call, process.arch === "arm64" ? "arm64" : "x64");
    if (nr === undefined) throw new Error(`no such call: ${call}`);
    return nr < 0 ? [] : [{ nr, ...rest }];
  });
