/**
 * network.families → which sockets a command may make. See socket(2), address_families(7), network_namespaces(7).
 *
 * A network namespace holds some families of sockets and knows nothing of the others: a command with a network of its own
 * listens on the machine's vsock ports, and uses its cryptography (AF_ALG), its modems (AF_QIPCRTR), its tags (AF_NFC).
 */
import { suggestion } from "../config/nearest.ts";
import type { Network } from "../config/sandbox-schema.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Report } from "./report.ts";

/**
 * AF_… of linux/socket.h by number, those that a network namespace holds entirely first. Of the others some are only there in
 * the host's (AX25, LLC, BLUETOOTH, IEEE802154 …), some are the same in all (ALG, VSOCK, RDS, QIPCRTR, NFC, ISDN), and some
 * are held in part: TIPC reaches other namespaces of the machine directly, RXRPC takes its keys from keyrings, PPPOX has one
 * table of PPTP calls, SMC and IB the machine's adapters.
 */
const HELD: Readonly<Record<string, number>> = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  AF_KEY: 15,
  AF_PACKET: 17,
  AF_CAN: 29,
  AF_XDP: 44,
};
const SHARED: Readonly<Record<string, number>> = {
  AF_AX25: 3,
  AF_IPX: 4,
  AF_APPLETALK: 5,
  AF_NETROM: 6,
  AF_BRIDGE: 7,
  AF_ATMPVC: 8,
  AF_X25: 9,
  AF_ROSE: 11,
  AF_DECNET: 12,
  AF_NETBEUI: 13,
  AF_SECURITY: 14,
  AF_ASH: 18,
  AF_ECONET: 19,
  AF_ATMSVC: 20,
  AF_RDS: 21,
  AF_SNA: 22,
  AF_IRDA: 23,
  AF_PPPOX: 24,
  AF_WANPIPE: 25,
  AF_LLC: 26,
  AF_IB: 27,
  AF_MPLS: 28,
  AF_TIPC: 30,
  AF_BLUETOOTH: 31,
  AF_IUCV: 32,
  AF_RXRPC: 33,
  AF_ISDN: 34,
  AF_PHONET: 35,
  AF_IEEE802154: 36,
  AF_CAIF: 37,
  AF_ALG: 38,
  AF_NFC: 39,
  AF_VSOCK: 40,
  AF_KCM: 41,
  AF_QIPCRTR: 42,
  AF_SMC: 43,
  AF_MCTP: 45,
};
/** Protocols of AF_NETLINK that a network namespace has for itself: netlink(7), linux/netlink.h. */
const HELD_NETLINK: Readonly<Record<string, number>> = {
  NETLINK_ROUTE: 0,
  NETLINK_USERSOCK: 2,
  NETLINK_SOCK_DIAG: 4,
  NETLINK_XFRM: 6,
  NETLINK_FIB_LOOKUP: 10,
  NETLINK_NETFILTER: 12,
  // The kernel hides its families that are not for every namespace.
  NETLINK_GENERIC: 16,
};
/** Events of the host's devices reach every network namespace that belongs to the host's user namespace. */
const UEVENT = { NETLINK_KOBJECT_UEVENT: 15 } as const;
const SHARED_NETLINK: Readonly<Record<string, number>> = {
  ...UEVENT,
  NETLINK_SELINUX: 7,
  NETLINK_ISCSI: 8,
  NETLINK_AUDIT: 9,
  NETLINK_CONNECTOR: 11,
  NETLINK_SCSITRANSPORT: 18,
  NETLINK_ECRYPTFS: 19,
  NETLINK_RDMA: 20,
  NETLINK_CRYPTO: 21,
  NETLINK_SMC: 22,
};
const ALIASES: Readonly<Record<string, string>> = {
  AF_LOCAL: "AF_UNIX",
  AF_FILE: "AF_UNIX",
  AF_ROUTE: "AF_NETLINK",
  NETLINK_INET_DIAG: "NETLINK_SOCK_DIAG",
};

const FAMILIES = { ...HELD, ...SHARED };
const NETLINK = { ...HELD_NETLINK, ...SHARED_NETLINK };
const ALL = "all";
/** MAX_LINKS of linux/netlink.h. */
const MAX_NETLINK = 32;

/** What a private network has. */
export const HELD_FAMILIES: readonly string[] = Object.keys(HELD);
/** What programs need that talk over a network. */
export const INTERNET_FAMILIES: readonly string[] = [
  "AF_UNIX",
  "AF_INET",
  "AF_INET6",
  "AF_NETLINK",
];

/** Whether a network namespace of its own keeps a command's sockets of this family from the host's. */
export const isHeld = (name: string): boolean => Object.hasOwn(HELD, name);

/** The sockets that may be made, by number and by name. */
export interface Families {
  readonly families: ReadonlySet<number>;
  /** Of AF_NETLINK. */
  readonly protocols: ReadonlySet<number>;
  readonly names: readonly string[];
  /** NETLINK_… of `protocols`. */
  readonly protocolNames: readonly string[];
}

/**
 * undefined: sockets of every family. Where the config does not say, that is so in the host's network; any other has what it
 * holds.
 */
export function compileFamilies(
  network: Network | undefined,
  path: string,
  namespaces: Namespaces,
  report: Report,
): Families | undefined {
  const foreign = namespaces.own.has("net") || namespaces.joinNet !== undefined;
  const asked = network?.families ?? (foreign ? HELD_FAMILIES : [ALL]);
  const place = `${path}.families`;
  if (asked.some((name) => name.toLowerCase() === ALL)) {
    if (asked.length > 1) report.problem(place, '"all" stands alone');
    return undefined;
  }
  const families = new Map<string, number>();
  const protocols = new Map<string, number>();
  for (const [i, text] of asked.entries()) {
    report.attempt(network?.families ? `${place}[${i}]` : place, () => {
      const name = nameOf(text);
      if (!name.startsWith("NETLINK_")) return void families.set(name, familyOf(name, text));
      families.set("AF_NETLINK", HELD["AF_NETLINK"] ?? 0);
      protocols.set(name, protocolOf(name, text));
    });
  }
  if (asked.some((text) => nameOf(text) === "AF_NETLINK")) {
    // Those of the host's network are the host's anyway.
    const events = !foreign || (namespaces.own.has("net") && namespaces.own.has("user"));
    const held = { ...HELD_NETLINK, ...(events && UEVENT) };
    for (const [name, number] of Object.entries(held)) protocols.set(name, number);
  }
  return {
    families: new Set(families.values()),
    protocols: new Set(protocols.values()),
    names: [...families.keys()],
    protocolNames: [...protocols.keys()],
  };
}

/** `vsock` → `AF_VSOCK`, as capabilities need no CAP_. */
function nameOf(text: string): string {
  const upper = text.trim().toUpperCase();
  const name = /^(AF|NETLINK)_/.test(upper) ? upper : `AF_${upper}`;
  return Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
}

function familyOf(name: string, text: string): number {
  const number = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
  if (number !== undefined) return number;
  const hint = suggestion(name, [...Object.keys(FAMILIES), ...Object.keys(NETLINK)]);
  throw new Error(`unknown address family ${JSON.stringify(text)}, see address_families(7)${hint}`);
}

/** By name or, as makers of devices have protocols of their own, by number. */
function protocolOf(name: string, text: string): number {
  const known = Object.hasOwn(NETLINK, name) ? NETLINK[name] : undefined;
  if (known !== undefined) return known;
  const number = /^NETLINK_(\d{1,2})$/.exec(name)?.[1];
  if (number !== undefined && Number(number) < MAX_NETLINK) return Number(number);
  const hint = suggestion(name, Object.keys(NETLINK));
  throw new Error(
    `unknown protocol of AF_NETLINK ${JSON.stringify(text)}, see netlink(7); by number: NETLINK_0 to NETLINK_${MAX_NETLINK - 1}${hint}`,
  );
}
