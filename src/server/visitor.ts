/** A connection as a guest of the door that it came through. */
import type { Wire } from "./wire.ts";
import { isReadable } from "../../ffi/libc.ts";
import { descriptorOf } from "../../ffi/sockets.ts";
import type { Guest } from "./idleness.ts";

/** What it speaks. */
export interface Speaking {
  readonly idleSince: Guest["idleSince"];
  /** Says goodbye; where there is none the socket is closed. */
  evict?(): void;
}

/** A connection, whatever it speaks by now. */
export class Visitor implements Guest {
  /** Undefined where it is about to end, as after an upgrade that was refused. */
  speaks: Speaking | undefined;

  constructor(readonly socket: Wire) {}

  get idleSince(): number | undefined {
    return this.speaks ? this.speaks.idleSince : 0;
  }

  get unread(): boolean {
    const fd = descriptorOf(this.socket);
    return fd !== undefined && isReadable(fd);
  }

  evict(): void {
    if (this.speaks?.evict) this.speaks.evict();
    else this.socket.destroy();
  }
}
