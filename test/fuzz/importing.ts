/** What an exporter says, to who imports of it: each open call has at most one answer, and whatever comes is at most an RpcError. */
import { type Client, type Request } from "../../src/api/client.ts";
import { packetCaller } from "../../src/rpc/callers.ts";
import { Calls } from "../../src/rpc/calls.ts";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { faultOf, routePacket } from "../../src/rpc/routes.ts";
import { jsonValue, TYPE } from "../../src/rpc/value.ts";
import { encodeSet } from "../../src/rpc/wire.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

const CALLS = 3;

function said(random: Random): Packet {
  const [callid, event] = [random.below(CALLS + 2), random.below(3)];
  const values = random.list(2, () => {
    const text = random.pick(["1", "{}", '"a"', "[1,", "\ud800"]);
    if (random.once(2)) return jsonValue(text);
    return { type: random.pick([...Object.values(TYPE), 7] as [number]), bytes: Buffer.from(text) };
  });
  return random.pick<Packet>([
    { type: "reply", callid, status: random.below(3000) - 1500, values },
    { type: "create", kind: "event", id: event, name: random.pick(["far/a", "far/b", ""]) },
    { type: "destroy", kind: random.pick(["event", "session"]), id: event },
    { type: "subscribe", callid, event },
    { type: "unsubscribe", callid, event },
    { type: "push", event, values },
    { type: "push", event, values },
    { type: "broadcast", name: "far/a", uuid: "00".repeat(16), hop: 1, values },
    { type: "unexpected", event },
  ]);
}

export const importing: Target = {
  name: "importing",
  make: (random) => {
    const bytes = Buffer.concat([
      encodeSet(3),
      ...random.list(40, () => encodePacket(said(random), 1)),
    ]);
    return Buffer.from(random.once(3) ? spoil(random, bytes, 3) : bytes).toString("hex");
  },
  async check(input: Json) {
    const calls = new Calls(packetCaller());
    const sent: Buffer[] = [];
    const link = { open: true, backlog: 0, send: (bytes: Buffer) => void sent.push(bytes) };
    calls.attach(link);
    const gone = new Set<() => void>();
    const client: Client = {
      ...{ session: { uuid: "c" }, connected: true, backlog: 0 },
      send: () => undefined,
      onClose: (callback) => {
        gone.add(callback);
        return () => void gone.delete(callback);
      },
    };
    const asked: Request = { api: "far", verb: "x", args: null, client, session: client.session };
    let answers = 0;
    const all = Array.from({ length: CALLS }, () =>
      calls.call("far", asked).then(
        () => answers++,
        () => answers++,
      ),
    );
    await Promise.resolve();
    const reader = new PacketReader("set");
    reader.push(Buffer.from(String(input), "hex"));
    try {
      for (let next = reader.next(); next; next = reader.next())
        if (next.type !== "set") routePacket(next, { calls });
    } catch (error) {
      if (!faultOf(error)) throw error;
    }
    link.open = false;
    calls.gone();
    await Promise.all(all);
    demand(answers === CALLS, "not every call has an answer", answers);
    demand(gone.size === 0, "a client is still waited for", gone.size);
    demand(calls.isIdle, "something is left");
  },
};
