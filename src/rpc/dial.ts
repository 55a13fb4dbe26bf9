/** One connection to another binder, as who dials: from the socket to the version that both speak. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Address, Speech } from "../config/binder-uri.ts";
import { Conversation } from "../server/conversation.ts";
import { encodeFrame } from "../server/encode.ts";
import { OPCODE } from "../server/frames.ts";
import { WebSocketConnection } from "../server/websocket.ts";
import type { Part } from "../share.ts";
import { messageCaller, packetCaller } from "./callers.ts";
import { Calls } from "./calls.ts";
import type { Exporter } from "./exporter.ts";
import type { Packet } from "./packet.ts";
import { PacketReader } from "./packets.ts";
import { faultOf, routeMessage, routePacket, sizeOfPacket } from "./routes.ts";
import { clientOptions } from "./tls.ts";
import { limitSilence } from "./unanswered.ts";
import { encodeOffer, type Offer, RpcError, type Set } from "./wire.ts";
import { parseMessage } from "./wsapi.ts";

/** Milliseconds for the other to accept, and to say which version it speaks. */
const DIAL_LIMIT = 10_000;
const V3 = 3;
const V1 = 1;
/** Versions as binders offer them: zeros are filler. */
const OFFERED = [V3, 0, 0];

export interface Dialled {
  readonly calls: Calls;
  readonly open: boolean;
  close(): void;
}

export interface DialOptions {
  readonly address: Address;
  readonly speech: Speech;
  /** What is exported over it, and the memory that its calls hold. */
  readonly exporter?:
    ((socket: Socket) => { readonly exporter: Exporter; readonly part: Part }) | undefined;
  /** Called once, when the connection is over that there was. */
  readonly gone: () => void;
}

/** Rejects with an Error that says why there is none. */
export async function dial(options: DialOptions): Promise<Dialled> {
  const socket = await connected(options.address);
  if (options.address.kind === "tcp" && !options.exporter) limitSilence(socket);
  const greeted = Promise.withResolvers<void>();
  const speak = options.speech === "rpc" ? packets : messages;
  const dialled = speak(socket, options, greeted);
  // Such as that it wants a certificate: of TLS 1.3 that comes late.
  socket.once("error", (error) => greeted.reject(error));
  const timer = setTimeout(() => {
    greeted.reject(new Error("it does not say in time which version it speaks"));
    dialled.close();
  }, DIAL_LIMIT);
  try {
    await greeted.promise;
    return dialled;
  } finally {
    clearTimeout(timer);
  }
}

type Greeted = PromiseWithResolvers<void>;

/** What happens at the end of a connection, whichever it is of. */
function ending(
  calls: Calls,
  exporter: Exporter | undefined,
  options: DialOptions,
  greeted: Greeted,
) {
  greeted.promise.catch(() => {});
  return (): void => {
    greeted.reject(new Error("it has closed the connection"));
    options.gone();
    exporter?.gone();
    calls.gone();
  };
}

function packets(socket: Socket, options: DialOptions, greeted: Greeted): Dialled {
  const calls = new Calls(packetCaller());
  const { exporter, part } = options.exporter?.(socket) ?? {};
  const link: Conversation<Packet | Offer | Set> = new Conversation<Packet | Offer | Set>(
    socket,
    {
      reader: new PacketReader("set"),
      sizeOf: exporter ? sizeOfPacket : () => 0,
      handle: (packet) => {
        if (packet.type !== "set") return routePacket(packet, { exporter, calls });
        if (packet.version !== V3) greeted.reject(new Error("it speaks no version 3 of RPC"));
        greeted.resolve();
        if (packet.version !== V3) link.finish();
      },
      goodbye: () => undefined,
      faultOf,
      gone: ending(calls, exporter, options, greeted),
    },
    { ...(part && { part }) },
  );
  calls.attach(link);
  exporter?.attach(link);
  link.start(new Uint8Array());
  link.answer(encodeOffer(OFFERED));
  return dialledBy(calls, link);
}

function messages(socket: Socket, options: DialOptions, greeted: Greeted): Dialled {
  const calls = new Calls(messageCaller());
  let hasSet = false;
  const binary = (bytes: Buffer): void => {
    const message = parseMessage(bytes);
    if (message.type === "set") {
      if (hasSet) throw new RpcError("the version has been agreed on");
      hasSet = true;
      if (message.version === V1) return greeted.resolve();
      greeted.reject(new Error("it speaks no version 1 of WSAPI"));
      return link.finish();
    }
    if (!hasSet) throw new RpcError("it does not begin with the version that is spoken");
    routeMessage(message, calls);
  };
  const gone = ending(calls, undefined, options, greeted);
  const link: WebSocketConnection = new WebSocketConnection(
    socket,
    { binary, faultOf, gone },
    { payload: "binary" },
  );
  calls.attach(link);
  link.start(new Uint8Array());
  link.answer(encodeFrame(OPCODE.binary, encodeOffer([V1])));
  return dialledBy(calls, link);
}

const dialledBy = (calls: Calls, link: { readonly open: boolean; finish(): void }): Dialled => ({
  calls,
  get open() {
    return link.open;
  },
  close: () => link.finish(),
});

function connected(address: Address): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const tls = address.kind === "tcp" ? address.tls : undefined;
    const socket = open(address);
    const late = "it does not accept the connection in time";
    const timer = setTimeout(() => socket.destroy(new Error(late)), DIAL_LIMIT);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    // Once it is connected they change nothing any more.
    socket.once("error", failed);
    socket.once("close", () => failed(new Error("it has closed the connection")));
    socket.once(tls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}

/** @throws Error where a file of TLS cannot be read */
function open(address: Address): Socket {
  switch (address.kind) {
    case "tcp": {
      const { host, port, tls } = address;
      if (tls) return connectTls({ host, port, ...clientOptions(address, tls) });
      return connect({ host, port, noDelay: true });
    }
    case "unix":
      return connect({ path: address.path.replace(/^@/, "\0") });
    case "sd":
      throw new Error("a socket of the service manager is not dialled");
  }
}
