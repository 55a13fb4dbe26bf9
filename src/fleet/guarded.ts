/** A socket of which only packets come through that a broker may send: see meter.ts. */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { PacketMeter } from "./meter.ts";

export class Guarded extends Duplex {
  constructor(
    readonly socket: Socket,
    meter: PacketMeter,
    arrived: () => void,
  ) {
    super();
    socket.on("data", (chunk: Buffer) => {
      if (this.destroyed) return;
      arrived();
      if (!meter.fits(chunk))
        this.destroy(new Error("the broker sends a packet that was not agreed on"));
      else if (!this.push(chunk)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    this.socket.resume();
  }

  /** A packet comes in some twenty pieces: each by itself would be a record of TLS, and a call of the kernel. */
  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "binary", done);
  }

  override _write(
    chunk: Buffer,
    encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.socket.write(chunk, encoding, (error) => {
      // Why it is closed is told in this turn.
      if (error) setImmediate(() => done(error));
      else done();
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}
