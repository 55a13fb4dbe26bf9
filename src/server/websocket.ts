/** One WebSocket connection (RFC 6455) over a raw socket that has been upgraded: its messages, ping and pong, and closing. */
import type { Wire } from "./wire.ts";
import { Conversation, type ConversationLimits, type Protocol } from "./conversation.ts";
import { encodeClose, encodeFrame } from "./encode.ts";
import { FrameError, FrameReader, type Message, OPCODE, type Payload } from "./frames.ts";

export interface WebSocketEvents {
  /** A text message arrived; or, where the connection is one of binary messages, never. */
  text?(text: string): void;
  binary?(bytes: Buffer): void;
  /** Throws an error of the application's protocol: how the peer broke it. */
  faultOf?: Protocol<Message>["faultOf"];
  /** Once, as soon as nothing more can be sent. */
  gone(): void;
}

export interface WebSocketLimits extends ConversationLimits {
  /** Most bytes of one received message. */
  message?: number;
  /** What messages there are; texts by default. */
  payload?: Payload;
}

export class WebSocketConnection extends Conversation<Message> {
  constructor(socket: Wire, events: WebSocketEvents, limits: WebSocketLimits = {}) {
    const handle = (message: Message): void => {
      switch (message.type) {
        case "text":
          if (this.open) events.text?.(message.text);
          return;
        case "binary":
          if (this.open) events.binary?.(message.bytes);
          return;
        case "ping":
          return this.answer(encodeFrame(OPCODE.pong, message.payload));
        case "pong":
          return;
        case "close":
          this.answer(encodeClose(message.code));
          this.finish();
      }
    };
    const protocol: Protocol<Message> = {
      reader: new FrameReader(limits.message, limits.payload),
      sizeOf: (message) =>
        message.type === "text"
          ? message.text.length
          : message.type === "binary"
            ? message.bytes.length
            : 0,
      handle,
      goodbye: encodeClose,
      faultOf: (error) => (error instanceof FrameError ? error : events.faultOf?.(error)),
      gone: () => events.gone(),
    };
    super(socket, protocol, limits);
  }

  /** Unless something else is on its way to the peer, which does as well. */
  ping(): void {
    if (this.empty) this.answer(PING);
  }
}

const PING = encodeFrame(OPCODE.ping, Buffer.alloc(0));
