/** Where a connection comes from, for people and records. It gives nobody a privilege. */
import type { Wire } from "./wire.ts";

/** An IPv4 address as it is written, also where the socket is one of IPv6. */
export const plainAddress = (address = ""): string => address.replace(/^::ffff:(?=\d+\.)/, "");

/** undefined for a unix socket. */
export const addressOf = ({ remoteAddress }: Pick<Wire, "remoteAddress">): string | undefined =>
  plainAddress(remoteAddress) || undefined;
