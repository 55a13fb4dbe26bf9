/** By whom connections are told apart where something is shared. It gives nobody a privilege. */
import { isIP, isIPv6 } from "../ip.ts";
import { CError } from "../../ffi/errno.ts";
import { ownerOf } from "../../ffi/owner.ts";
import { plainAddress as plain } from "./address.ts";
import type { Ids } from "./peer.ts";
import type { Wire } from "./wire.ts";

/**
 * Who shares places: a user of this machine, over TCP or over unix sockets, so a flood over the one leaves the other as it is; an IPv4 address, or a network of which one host may have every
 * address, as of 127.0.0.0/8 and of an IPv6 network.
 */
export function peerName(socket: Wire, peer: Ids | undefined): string {
  if (peer) return `uid ${peer.uid}`;
  const uid = ownerHere(socket);
  if (uid !== undefined) return `uid ${uid} over TCP`;
  return addressName(plain(socket.remoteAddress));
}

/** That of who is at this address, wherever it is. @param address IPv4 as it is written */
export function addressName(address: string): string {
  if (address.startsWith("127.")) return "127.0.0.0/8";
  return isIPv6(address) ? `${network(address)}/64` : address;
}

/** The user who has the other end, where that is on this machine; undefined where it is elsewhere, or the kernel does not tell. */
function ownerHere({ remoteAddress, remotePort, localAddress, localPort }: Wire) {
  const theirs = { address: plain(remoteAddress), port: remotePort ?? 0 };
  const ours = { address: plain(localAddress), port: localPort ?? 0 };
  if (!isHere(ours.address) && !isHere(theirs.address)) return undefined;
  if (isIP(theirs.address) !== isIP(ours.address)) return undefined;
  try {
    return ownerOf(theirs, ours);
  } catch (error) {
    // Without it (CONFIG_INET_DIAG, RestrictAddressFamilies= of the unit) all users of this machine share.
    if (error instanceof CError) return undefined;
    throw error;
  }
}

/** Whoever is connected to such an address, or from it, is on this machine: the kernel takes neither from elsewhere. */
const isHere = (address: string): boolean => address.startsWith("127.") || address === "::1";

/** The first four groups, written out. */
function network(address: string): string {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const groups = head.split(":").filter((group) => group !== "");
  // Where `::` stands within them, it stands for zeros up to the groups behind it.
  const behind = tail === undefined ? [] : tail.split(":").filter((group) => group !== "");
  while (tail !== undefined && groups.length + behind.length < 8) groups.push("0");
  return [...groups, ...behind].slice(0, 4).join(":");
}
