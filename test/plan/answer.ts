import { ARCHITECTURES } from "../../ffi/libseccomp.ts";
import { decode } from "../../src/plan/bpf.ts";

/** What a filter answers: the kernel's interpreter, as far as libseccomp's programs use it. */
export function answer(
  program: Uint8Array,
  nr: number,
  args: bigint[] = [],
  arch: number = ARCHITECTURES.x64,
) {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((arg, i) => data.setBigUint64(16 + i * 8, arg, true));
  const instructions = decode(program);
  let a = 0;
  for (let pc = 0; ; pc++) {
    const instruction = instructions[pc];
    if (!instruction) throw new Error(`ran to ${pc}`);
    const { code, jt, jf, k } = instruction;
    const branch = (taken: boolean) => (pc += taken ? jt : jf);
    if (code === 0x00) a = k;
    else if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) branch(a === k);
    else if (code === 0x25) branch(a > k);
    else if (code === 0x35) branch(a >= k);
    else if (code === 0x45) branch((a & k) !== 0);
    else if (code === 0x06) return k;
    else throw new Error(`code 0x${code.toString(16)} at ${pc}`);
  }
}
