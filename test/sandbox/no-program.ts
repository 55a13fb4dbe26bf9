/** A file that is executable as far as anybody can tell before trying: an ELF header without segments, which the kernel refuses. */
import { MACHINE } from "../../src/plan/program-file.ts";

export const noProgram = new Uint8Array(128);
noProgram.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
const view = new DataView(noProgram.buffer);
view.setUint16(16, 2, true);
view.setUint16(18, MACHINE[process.arch === "arm64" ? "arm64" : "x64"], true);
view.setUint16(54, 56, true);
