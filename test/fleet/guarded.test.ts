/** A socket of which only packets come through that a broker may send. */
import { describe, expect, spyOn, test } from "bun:test";
import { type AddressInfo, createServer, Socket } from "node:net";
import { Guarded } from "../../src/fleet/guarded.ts";
import { PacketMeter } from "../../src/fleet/meter.ts";
import { until } from "./speaking.ts";

describe("a socket whose packets are looked at", () => {
  /** With what the other end got. */
  async function guarded(most = 1 << 20) {
    const got: string[] = [];
    let other: Socket | undefined;
    let ended = false;
    const server = createServer((socket) => {
      other = socket;
      socket.on("data", (chunk) => void got.push(chunk.toString()));
      socket.on("end", () => (ended = true));
      socket.on("error", () => {});
    }).listen(0, "127.0.0.1");
    const socket = new Socket().connect((server.address() as AddressInfo).port, "127.0.0.1");
    let arrived = 0;
    const one = new Guarded(socket, new PacketMeter(most), () => arrived++);
    const errors: string[] = [];
    one.on("error", (error) => errors.push(error.message));
    await until(() => other !== undefined);
    return {
      ...{ one, socket, got, errors, other: other as unknown as Socket },
      arrived: () => arrived,
      isEnded: () => ended,
      [Symbol.dispose]() {
        one.destroy();
        other?.destroy();
        server.close();
      },
    };
  }

  test("sends what is written together in one piece, and ends when it is told to", async () => {
    using at = await guarded();
    const writes = spyOn(at.socket, "write");
    at.one.cork();
    for (const text of ["a", "b", "c"]) at.one.write(text);
    at.one.uncork();
    await until(() => at.got.join("") === "abc");
    expect(writes).toHaveBeenCalledTimes(1);
    at.one.write("d");
    await until(() => at.got.join("") === "abcd");
    const finished = new Promise<void>((resolve) => at.one.end(resolve));
    await until(at.isEnded);
    await finished;
  });

  test("holds the other end where nobody reads, and gives what was sent until its end", async () => {
    using at = await guarded();
    const packet = Buffer.concat([Buffer.of(0x30, 0x80, 0x80, 0x04), Buffer.alloc(65_536)]);
    for (let i = 0; i < 100; i++) at.other.write(packet);
    at.other.end();
    await until(() => at.socket.isPaused());
    expect(at.one.readableLength).toBeLessThan(2 << 20);
    expect(at.arrived()).toBeGreaterThan(0);
    let bytes = 0;
    at.one.on("data", (chunk: Buffer) => (bytes += chunk.length));
    await new Promise<void>((resolve) => at.one.on("end", resolve));
    expect(bytes).toBe(100 * packet.length);
    expect(at.errors).toEqual([]);
  });

  test("ends with what it should not have got, of which nothing comes through, nor of what follows", async () => {
    using at = await guarded(4);
    let bytes = 0;
    at.one.on("data", (chunk: Buffer) => (bytes += chunk.length));
    at.other.write(Buffer.of(0x30, 5));
    await until(() => at.one.destroyed);
    at.socket.emit("data", Buffer.of(0xd0, 0));
    await until(() => at.errors.length > 0);
    expect([bytes, at.arrived(), at.errors]).toEqual([
      ...[0, 1, ["the broker sends a packet that was not agreed on"]],
    ]);
    await until(() => at.socket.destroyed);
  });

  test("ends with its connection, and says why", async () => {
    {
      using at = await guarded();
      at.socket.emit("error", new Error("why"));
      await until(() => at.errors.length > 0);
      expect([at.errors, at.one.destroyed]).toEqual([["why"], true]);
    }
    {
      using at = await guarded();
      at.socket.destroy();
      await until(() => at.one.destroyed);
      expect(at.errors).toEqual([]);
    }
    using at = await guarded();
    const failing = spyOn(at.socket, "write").mockImplementation(((
      _chunk: Buffer,
      _encoding: string,
      done: (error: Error) => void,
    ) => {
      done(new Error("broken pipe"));
      // What is wrong is told by the socket in the same turn.
      at.socket.emit("error", new Error("why"));
      return false;
    }) as never);
    at.one.write("x");
    await until(() => at.errors.length > 0);
    expect(at.errors).toEqual(["why"]);
    failing.mockRestore();
  });
});
