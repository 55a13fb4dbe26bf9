/** The frames a server sends (RFC 6455, section 5.2): final, unmasked, unfragmented. */
import { OPCODE } from "./frames.ts";

/** Bytes of the header before a payload of `length` bytes. */
export function headerSize(length: number): number {
  return length < 126 ? 2 : length < 0x10000 ? 4 : 10;
}

/** Writes the header at `at`; returns where the payload goes. */
export function writeHeader(target: Buffer, at: number, opcode: number, length: number): number {
  target[at] = 0x80 | opcode;
  if (length < 126) {
    target[at + 1] = length;
    return at + 2;
  }
  if (length < 0x10000) {
    target[at + 1] = 126;
    return target.writeUInt16BE(length, at + 2);
  }
  target[at + 1] = 127;
  target.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2);
  return target.writeUInt32BE(length % 2 ** 32, at + 6);
}

export function encodeFrame(opcode: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerSize(payload.length) + payload.length);
  frame.set(payload, writeHeader(frame, 0, opcode, payload.length));
  return frame;
}

/** A close frame. The reason is cut to the 123 bytes that fit, at a character. */
export function encodeClose(code: number | undefined, reason = ""): Buffer {
  if (code === undefined) return encodeFrame(OPCODE.close, new Uint8Array());
  const payload = Buffer.alloc(125);
  payload.writeUInt16BE(code, 0);
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return encodeFrame(OPCODE.close, payload.subarray(0, 2 + written));
}
