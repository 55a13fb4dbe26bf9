/**
 * What a proxy tells of who calls: X-Forwarded-For, -Proto and -Host, which anybody can write. They count only where the
 * connection comes from an address that --trust-proxy names.
 */
import type { BlockList } from "node:net";
import { isIP, isIPv6 } from "../ip.ts";
import { net } from "../late.ts";
import type { GetHeader, Scheme } from "./origin.ts";
import { plainAddress } from "./address.ts";

/** Addresses of proxies, such as 10.0.0.1 or fd00::/8. */
export class Proxies {
  /** undefined: none is named. */
  readonly #networks: BlockList | undefined;

  /** @throws TypeError for what is no address and no network */
  constructor(readonly texts: readonly string[]) {
    if (texts.length === 0) return;
    this.#networks = new (net().BlockList)();
    for (const text of texts) {
      const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
      const family = isIP(address);
      const most = family === 4 ? 32 : 128;
      const length = bits === undefined ? most : Number(bits);
      if (family === 0 || length > most)
        throw new TypeError(
          `--trust-proxy ${text}: expected an address, or a network such as 10.0.0.0/8`,
        );
      this.#networks.addSubnet(address, length, family === 4 ? "ipv4" : "ipv6");
    }
  }

  trusts(address: string | undefined): boolean {
    if (!this.#networks) return false;
    const bare = plainAddress(address).replace(/%.*$/, "");
    return isIP(bare) !== 0 && this.#networks.check(bare, isIPv6(bare) ? "ipv6" : "ipv4");
  }

  /** What is to be believed of a request of a proxy. @param address of the connection, one that is trusted */
  told(address: string, header: GetHeader): Told {
    const host = last(header("x-forwarded-host"));
    // Some name it as the browser does, of a WebSocket.
    const scheme = last(header("x-forwarded-proto"))
      ?.toLowerCase()
      .replace(/^ws(s?)$/, "http$1");
    return {
      address: this.#caller(address, header("x-forwarded-for")),
      ...(host !== undefined && { host }),
      ...((scheme === "https" || scheme === "http") && { scheme: `${scheme}:` }),
    };
  }

  /**
   * Each proxy has added whom it was called by at the end: the last that is no proxy of ours is who calls. What stands before is
   * as that one wrote it. Where somebody wrote no address, it is the proxy that let it be so.
   */
  #caller(address: string, forwarded: string | undefined): string {
    let caller = plainAddress(address);
    for (const entry of (forwarded ?? "").split(",").reverse()) {
      const one = addressIn(entry.trim());
      if (one === undefined) return caller;
      caller = one;
      if (!this.trusts(one)) return caller;
    }
    return caller;
  }
}

export interface Told {
  /** Of who calls. */
  readonly address: string;
  /** As the proxy was called. */
  readonly host?: string;
  readonly scheme?: Scheme;
}

/** Of a proxy before the last one is what a client may have made up. */
function last(list: string | undefined): string | undefined {
  const text = list?.split(",").at(-1)?.trim();
  return text === "" ? undefined : text;
}

/** `192.0.2.1`, also with a port, `2001:db8::1` or `[2001:db8::1]:443`. */
function addressIn(entry: string): string | undefined {
  const [, bracketed] = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(entry) ?? [];
  const bare = bracketed ?? entry.replace(/^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/, "$1");
  return isIP(bare) === 0 ? undefined : plainAddress(bare);
}
