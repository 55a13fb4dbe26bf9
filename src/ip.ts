/** Whether a text is an address of the Internet, as isIP of `node:net` says, which is only asked of what has a colon. */
import { net } from "./late.ts";

const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** @returns 0: it is none */
export function isIP(text: string): 0 | 4 | 6 {
  if (V4.test(text)) return 4;
  return text.includes(":") && net().isIPv6(text) ? 6 : 0;
}

export const isIPv6 = (text: string): boolean => isIP(text) === 6;
