/** What `bun:ffi` types as "bigint, pointer or null" for a returned pointer is a number or null on 64-bit Linux. */
import type { Pointer } from "bun:ffi";

export function pointer(value: bigint | Pointer | null): Pointer | null {
  return value === null || value === 0n ? null : (Number(value) as Pointer);
}
