/**
 * A broker for which the test speaks: it takes whatever comes, of which the test sees each packet as it was sent, and says what no
 * real one can be made to say. It keeps nothing, and delivers nothing by itself.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import {
  generate,
  type IConnectPacket,
  type IPublishPacket,
  type ISubscribePacket,
  type Packet,
  parser,
} from "mqtt-packet";

export interface Speaking extends Disposable {
  readonly port: number;
  /** All that came, over however many connections. */
  readonly got: Packet[];
  readonly connects: IConnectPacket[];
  readonly subscribes: ISubscribePacket[];
  readonly publishes: IPublishPacket[];
  /** What was published at a topic. */
  at(topic: string): Said[];
  /** Resolves once it is so: looked at with each packet. */
  when(probe: () => boolean): Promise<void>;
  /** To who has connected last. */
  send(packet: Packet): void;
  publish(topic: string, payload: string, more?: Partial<IPublishPacket>): void;
  /** Resolves once all that was said before was taken, and one more that nobody knows. */
  taken(): Promise<void>;
  /** Ends the connection without a word. */
  cut(): void;
}

export interface Said {
  readonly text: string;
  readonly retain: boolean;
  readonly properties: NonNullable<IPublishPacket["properties"]>;
  /** Of its user properties. */
  readonly kind: unknown;
  readonly seq: unknown;
}

/** Looks each millisecond; who waits in vain is ended by the time of its test. */
export const until = async (probe: () => boolean): Promise<void> => {
  while (!probe()) await Bun.sleep(1);
};

/** What is answered to a packet; undefined: nothing, and `null`: the connection is ended. */
export type Answer = (packet: Packet) => Packet | null | undefined;

/** What a broker says who grants everything. */
export const granting: Answer = (packet) => {
  const { cmd } = packet;
  const messageId = packet.messageId ?? 0;
  if (cmd === "connect") return { cmd: "connack", sessionPresent: false, reasonCode: 0 };
  if (cmd === "subscribe")
    return { cmd: "suback", messageId, granted: packet.subscriptions.map(({ qos }) => qos) };
  if (cmd === "unsubscribe")
    return { cmd: "unsuback", messageId, granted: packet.unsubscriptions.map(() => 0) };
  if (cmd === "publish") return packet.qos === 1 ? { cmd: "puback", messageId } : undefined;
  if (cmd === "pingreq") return { cmd: "pingresp" };
  return cmd === "disconnect" ? null : undefined;
};

export function speaking(answer: Answer = granting): Speaking {
  const got: Packet[] = [];
  const waiting = new Set<() => void>();
  let last: Socket | undefined;
  const bytesOf = (packet: Packet): Buffer => generate(packet, { protocolVersion: 5 });
  const server = createServer((socket) => {
    last = socket;
    const reading = parser({ protocolVersion: 5 });
    reading.on("packet", (packet) => {
      got.push(packet);
      const said = answer(packet);
      if (said === null) socket.end();
      else if (said) socket.write(bytesOf(said));
      for (const look of waiting) look();
    });
    socket.on("data", (bytes) => void reading.parse(Buffer.from(bytes)));
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  const of = <T extends Packet>(cmd: T["cmd"]): T[] =>
    got.filter((packet): packet is T => packet.cmd === cmd);
  const send = (packet: Packet): void => void last?.write(bytesOf(packet));
  let messageId = 1000;
  const when = (probe: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!probe()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const publish: Speaking["publish"] = (topic, payload, more = {}) =>
    send({
      ...{ cmd: "publish", topic, payload, qos: 1, retain: false, dup: false },
      ...{ ...(more.qos !== 0 && { messageId: ++messageId }), ...more },
    });
  return {
    ...{ port: (server.address() as AddressInfo).port, got, when, send, publish },
    get connects() {
      return of<IConnectPacket>("connect");
    },
    get subscribes() {
      return of<ISubscribePacket>("subscribe");
    },
    get publishes() {
      return of<IPublishPacket>("publish");
    },
    at: (wanted) =>
      of<IPublishPacket>("publish")
        .filter(({ topic }) => topic === wanted)
        .map(({ payload, retain, properties = {} }) => ({
          ...{ text: payload.toString(), retain, properties },
          ...{ kind: properties.userProperties?.["kind"], seq: properties.userProperties?.["seq"] },
        })),
    async taken() {
      publish("nobody", "");
      const id = messageId;
      await when(() => got.some((packet) => packet.cmd === "puback" && packet.messageId === id));
    },
    cut: () => void last?.destroy(),
    [Symbol.dispose]() {
      last?.destroy();
      server.close();
    },
  };
}
