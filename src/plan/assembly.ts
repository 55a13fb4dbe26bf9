/** BPF programs made by hand, for filters that must not depend on libseccomp. */
import { encode, type Instruction, JA, RET_K, validateProgram } from "./bpf.ts";

/** A program with names to jump to, all of them forward. */
export class Assembly {
  readonly #lines: { code: number; k: number; yes?: string }[] = [];
  readonly #labels = new Map<string, number>();

  label(name: string): this {
    this.#labels.set(name, this.#lines.length);
    return this;
  }
  load(offset: number): this {
    return this.#add(0x20, offset);
  }
  and(mask: number): this {
    return this.#add(0x54, mask >>> 0);
  }
  /** Goes on with the next line where it is not equal. */
  equal(value: number, label: string): this {
    return this.#add(0x15, value, label);
  }
  jump(label: string): this {
    return this.#add(JA, 0, label);
  }
  answer(action: number): this {
    return this.#add(RET_K, action);
  }
  program(): Uint8Array {
    const instructions = this.#lines.map(({ code, k, yes }, at): Instruction => {
      const distance = yes === undefined ? 0 : (this.#labels.get(yes) ?? 0) - at - 1;
      return code === JA ? { code, jt: 0, jf: 0, k: distance } : { code, jt: distance, jf: 0, k };
    });
    const program = encode(instructions);
    validateProgram(program);
    return program;
  }
  #add(code: number, k: number, yes?: string): this {
    this.#lines.push({ code, k, ...(yes !== undefined && { yes }) });
    return this;
  }
}
