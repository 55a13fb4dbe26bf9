/**
 * A connection to the broker that comes back by itself. What is published waits for its turn: no more is under way than the broker
 * takes, and what was not confirmed when a connection broke is sent once more on the next.
 */
import { connect as connectPlain, isIP } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import { type IPublishPacket, MqttClient } from "./mqtt.ts";
import { type Broker, readSecrets, type Secrets } from "./load.ts";
import { advised } from "./advice.ts";
import { Guarded } from "./guarded.ts";
import { PacketMeter } from "./meter.ts";
import { Pace } from "./pace.ts";

export interface LinkOptions {
  readonly broker: Broker;
  readonly secrets: Secrets;
  /** User name. */
  readonly name: string;
  readonly clientId: string;
  /** Published by the broker once this is gone. */
  readonly will?: { readonly topic: string; readonly payload: string };
  /** s: the broker keeps messages as long. */
  readonly session: number;
  /** Nobody comes back once this is closed. */
  readonly isPassing?: boolean;
  /** s */
  readonly keepalive: number;
  /** Bytes of a packet that the broker may send. */
  readonly largest: number;
  /** This process has other things to do, too: see pace.ts. */
  readonly isOneOfMany?: boolean;
  /** For people: what became of the connection. */
  readonly tell: (text: string) => void;
  /** What is to come has to be asked for again: see `subscribe`. */
  readonly connected: () => void;
  readonly message: (message: Message) => void;
}

/** What came, as the protocol has it. */
export type Message = Pick<
  IPublishPacket,
  "topic" | "payload" | "retain" | "dup" | "qos" | "properties"
>;

export interface Publish {
  readonly retain?: boolean;
  /** s */
  readonly expiry?: number;
  readonly responseTopic?: string | undefined;
  readonly correlation?: Buffer | undefined;
  readonly type?: "application/json" | "application/x-ndjson";
  /** User properties. */
  readonly user?: Readonly<Record<string, string>>;
}

interface Waiting extends Publish {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly settle: PromiseWithResolvers<void>;
  /** Its number in the protocol, once it was sent. */
  messageId?: number;
  /** Connections that the broker has ended because of a message, which may have been this one. */
  ended?: number;
  /** How often it was too much for the broker in that moment. */
  tooMuch?: number;
}

/** Messages under way: their confirmations come as fast as a broker can write them. */
const UNDER_WAY = 64;
/** Of messages to us. */
const RECEIVE_MAXIMUM = 64;
/** ms */
const CONNECT_LIMIT = 30_000;
const [FIRST_DELAY, MOST_DELAY] = [500, 60_000];
/** A connection that held so long, ms, was one. */
const STABLE = 30_000;
/** Of a head of a packet and of its properties. */
const HEAD = 64 << 10;
/** Messages that are taken in one turn of the event loop. */
const A_TURN = 16;
/** ms in which nothing is published that is as what connections were ended for: to that topic, of so many, or as long. */
const BLAMED = 3_600_000;
const MOST_BLAMED = 1000;
/** PUBACK: more than the broker takes in so short a time. ms after which the rest is sent, and how often one message is. */
const QUOTA = 0x97;
const [PAUSE, MOST_PAUSES] = [1000, 60];
/** ms for the last words. */
const GOODBYE = 2000;
const CONNECTED = "connected to the broker";
const CLOSED =
  "the connection was closed, and nobody said why: if that happens again and again, another client has the same name";
const UNGREETED =
  "the broker closes the connection before it says anything: is it one of MQTT 5, is this the port for clients of this kind (TLS, or not), and is there room for another?";
/** ms for an answer to what is asked for. */
const ANSWER_LIMIT = 60_000;

export class Link {
  readonly #client: MqttClient;
  readonly #waiting: Waiting[] = [];
  readonly #pace: Pace | undefined;
  /** Sent, and not confirmed. */
  readonly #underWay = new Set<Waiting>();
  /** What was too much in that moment: until then nothing is sent. */
  readonly #tooMuch: Waiting[] = [];
  #pause: ReturnType<typeof setTimeout> | undefined;
  #most = UNDER_WAY;
  /** Bytes of a packet that the broker takes. */
  #largest = Infinity;
  /** As the end of a connection has told, and when. */
  #learned = { most: Infinity, at: -Infinity };
  /** By the properties that they were given to be sent with. */
  readonly #sent = new WeakMap<object, Waiting>();
  /** Topics that connections were ended for: since when, and why. */
  readonly #blamed = new Map<string, { readonly at: number; readonly why: string }>();
  #delay = FIRST_DELAY;
  /** When it was connected last, while it is. */
  #since = Infinity;
  #told = "";
  /** Whether this attempt to connect has come to something that was told. */
  #isExplained = false;
  /** Nothing more is taken of this connection. */
  #isOver = false;
  #isStarted = false;
  #closing = false;

  constructor(readonly options: LinkOptions) {
    const { will, session, keepalive, name, clientId, isOneOfMany } = options;
    this.#pace = isOneOfMany ? new Pace() : undefined;
    this.#client = new MqttClient(() => this.#stream(), {
      ...{ protocolVersion: 5, clean: false, clientId, username: name, keepalive },
      ...(will && {
        will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
      }),
      properties: {
        sessionExpiryInterval: session,
        receiveMaximum: RECEIVE_MAXIMUM,
      },
      connectTimeout: CONNECT_LIMIT,
      reconnectPeriod: FIRST_DELAY,
      reconnectOnConnackError: true,
      manualConnect: true,
      // It would take what was asked for on a connection that broke for granted, and ask for nothing where the broker has a session.
      resubscribe: false,
      // Else each packet is written for a log that nobody reads.
      log: () => {},
    });
    this.#client.on("connect", ({ properties }) => {
      this.#since = performance.now();
      this.#most = Math.max(1, Math.min(UNDER_WAY, properties?.receiveMaximum ?? UNDER_WAY));
      this.#largest = properties?.maximumPacketSize ?? Infinity;
      // Brokers count a byte less than there is, and would send for ever what the client never takes. The socket looks, too.
      this.#agree(undefined);
      this.#tell(CONNECTED);
      this.options.connected();
      this.#pump();
    });
    this.#client.on("packetsend", (packet) => {
      const waiting =
        packet.cmd === "publish" && packet.properties && this.#sent.get(packet.properties);
      if (waiting) waiting.messageId = packet.messageId ?? 0;
    });
    let taken = 0;
    // What comes in a row is taken in with others that have something to do, and confirmed as it is.
    this.#client.handleMessage = (_packet, done) => {
      if (this.#pace) this.#pace.taken(() => done());
      else if (++taken % A_TURN === 0) setImmediate(() => done());
      else done();
    };
    this.#client.on("message", (_topic, _payload, packet) => {
      if (!this.#isOver) this.options.message(packet);
    });
    this.#client.on("error", (error) => {
      this.#broken(error);
      // It would go on amid what it could not read, and take what somebody has written into a message for packets of the broker.
      this.#isOver = true;
      this.#client.stream.destroy();
    });
    this.#client.on("disconnect", ({ reasonCode }) => {
      const why = `the broker ends the connection: ${reasonOf(reasonCode)}`;
      this.#tell(why);
      if (OF_A_MESSAGE.has(reasonCode ?? 0)) this.#blame(why, reasonCode);
      // Whether the broker closes it or not.
      this.#client.stream.destroy();
    });
    // Before the client waits to come back. Attempts that fail end with it, too.
    this.#client.prependListener("close", () => {
      // Mosquitto 2.0 closes where it should say that another has the name: two boards would take turns, and nobody would know.
      if (this.#told === CONNECTED && !this.#closing) this.#tell(CLOSED);
      // So do others where they should refuse, and who passes connections on to a broker that is not there.
      if (!this.#isExplained && !this.#closing) this.#tell(UNGREETED);
      if (performance.now() - this.#since > STABLE) {
        this.#delay = FIRST_DELAY;
        this.#client.options.reconnectPeriod = this.#nextDelay();
      }
      this.#since = Infinity;
    });
  }

  start(): void {
    this.#isStarted = true;
    this.#client.connect();
  }

  get connected(): boolean {
    return this.#client.connected && !this.#closing;
  }

  /** Messages that wait, or are not confirmed. */
  get backlog(): number {
    return this.#waiting.length + this.#underWay.size + this.#tooMuch.length;
  }

  /**
   * Settles once the broker has it, however many connections that takes. Rejects where the broker does not take it, or this is
   * closed before. Nobody need wait for it.
   */
  publish(topic: string, payload: string | Buffer, how: Publish = {}): Promise<void> {
    const settle = Promise.withResolvers<void>();
    settle.promise.catch((error: unknown) => this.#notTaken(error, topic));
    const fault = faultOf(topic, how);
    const blamed = this.#blamed.get(topic);
    const isBlamed = blamed && performance.now() - blamed.at < BLAMED;
    if (this.#closing) settle.reject(new Error("the connection is being closed"));
    // The client would end the connection at it, and at the next again.
    else if (fault !== undefined)
      settle.reject(new Error(`${topic.slice(0, 200)}: cannot be sent: ${fault}`));
    else if (isBlamed) settle.reject(new Error(blamed.why));
    else this.#waiting.push({ ...how, topic, payload, settle });
    this.#pump();
    return settle.promise;
  }

  /**
   * Once connected. For the next connection it is to be said again: it may never have reached the broker, and nothing of QoS 0 is
   * kept for who is away. Rejects where the broker refuses, or the connection ends, as it does where the broker does not answer.
   * @param kept also what the broker keeps of them
   */
  async subscribe(
    topics: readonly string[],
    { qos = 1, kept = false }: { readonly qos?: 0 | 1; readonly kept?: boolean } = {},
  ): Promise<void> {
    // What was published to be retained is told as that, also where it comes for the first time.
    const how = { qos, rap: true, rh: kept ? 0 : 2 };
    const { stream } = this.#client;
    // There are brokers that say nothing where they should refuse: one would be connected, and hear nothing for ever.
    const timer = setTimeout(() => {
      this.#tell(`the broker does not answer: it was asked for ${topics.join(", ")}`);
      stream.destroy();
    }, ANSWER_LIMIT);
    try {
      await this.#client.subscribeAsync([...topics], how);
    } catch (error) {
      // The client tells that something was refused, not what.
      if (!(error instanceof Error && "packet" in error && error.packet)) throw error;
      throw new Error(`the broker refuses ${topics.join(", ")}: ${error.message}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nothing more of these, also where the broker is told only later. */
  async unsubscribe(topics: readonly string[]): Promise<void> {
    await this.#client.unsubscribeAsync([...topics]);
  }

  /** With the last words, as far as the broker takes them in time. */
  async close(last?: { readonly topic: string; readonly payload: string }): Promise<void> {
    const said = last && this.connected && this.publish(last.topic, last.payload, { retain: true });
    if (said) await Promise.race([said.catch(() => {}), Bun.sleep(GOODBYE)]);
    this.#closing = true;
    clearTimeout(this.#pause);
    const waiting = [...this.#tooMuch.splice(0), ...this.#waiting.splice(0)];
    for (const { settle } of waiting) settle.reject(new Error("closed"));
    if (!this.#isStarted) return;
    const ended = new Promise<void>((resolve) => {
      const forget = this.options.isPassing && { properties: { sessionExpiryInterval: 0 } };
      this.#client.end(!this.#client.connected, { ...forget }, () => resolve());
    });
    await Promise.race([ended, Bun.sleep(GOODBYE)]);
    for (const { settle } of this.#underWay) settle.reject(new Error("closed"));
  }

  #pump(): void {
    while (this.connected && !this.#pause && this.#underWay.size < this.#most) {
      const next = this.#waiting.shift();
      if (!next) return;
      const size = sizeOf(next);
      const { most: learned, at } = this.#learned;
      const isLearned = performance.now() - at < BLAMED;
      const largest = Math.min(this.#largest, isLearned ? learned : Infinity);
      if (size > largest) {
        const { topic, settle } = next;
        const most = `${size} bytes are more than the ${largest} that the broker takes`;
        settle.reject(new Error(`${topic}: ${most} in one message`));
        continue;
      }
      this.#underWay.add(next);
      this.#send(next);
    }
  }

  /** It would be sent first on each connection, and end each: the second time it is given up. */
  #blame(why: string, reasonCode: number | undefined): void {
    const isTooLarge = reasonCode === TOO_LARGE;
    const sent = [...this.#underWay].filter(({ messageId }) => messageId !== undefined);
    // Brokers confirm in order what they take. Where one is too large for them, the largest is.
    if (isTooLarge) sent.sort((a, b) => sizeOf(b) - sizeOf(a));
    const [first] = sent;
    if (first?.messageId === undefined) return;
    first.ended = (first.ended ?? 0) + 1;
    if (first.ended < 2) return;
    const { topic, settle, messageId } = first;
    const told = `${topic}: ${why}`;
    // First: another that is as large is not to be sent in its place.
    if (isTooLarge) this.#learned = { most: sizeOf(first) - 1, at: performance.now() };
    settle.reject(new Error(told));
    this.#client.removeOutgoingMessage(messageId);
    // What is told anew on each connection would end that, too. How long it may be not all brokers say.
    if (isTooLarge) return;
    this.#blamed.delete(topic);
    this.#blamed.set(topic, { at: performance.now(), why: told });
    const [oldest = ""] = this.#blamed.keys();
    if (this.#blamed.size > MOST_BLAMED) this.#blamed.delete(oldest);
  }

  /** Bytes of a packet to us; undefined: whatever comes. */
  #agree(most: number | undefined): void {
    const { maximumPacketSize: _, ...properties } = this.#client.options.properties ?? {};
    this.#client.options.properties = {
      ...properties,
      ...(most !== undefined && { maximumPacketSize: most }),
    };
  }

  #send(waiting: Waiting): void {
    const { topic, payload, settle, retain = false, ...how } = waiting;
    const properties = {
      ...(how.expiry !== undefined && { messageExpiryInterval: how.expiry }),
      ...(how.responseTopic !== undefined && { responseTopic: how.responseTopic }),
      ...(how.correlation && { correlationData: how.correlation }),
      ...(how.type && { contentType: how.type }),
      ...(how.user && { userProperties: { ...how.user } }),
    };
    this.#sent.set(properties, waiting);
    this.#client.publish(topic, payload, { qos: 1, retain, properties }, (error) => {
      const newer = error ? this.#newer(waiting) : undefined;
      this.#underWay.delete(waiting);
      if (error && this.#mayAgain(error, waiting)) return this.#later(waiting, error, newer);
      if (error) settle.reject(error);
      else settle.resolve();
      this.#pump();
    });
  }

  #mayAgain(error: Error, { tooMuch = 0 }: Waiting): boolean {
    return !this.#closing && "code" in error && error.code === QUOTA && tooMuch < MOST_PAUSES;
  }

  /** What was sent behind it to be kept at the same place, and may have been taken. */
  #newer(waiting: Waiting): Waiting | undefined {
    const sent = [...this.#underWay];
    const behind = sent.slice(sent.indexOf(waiting) + 1);
    return behind.findLast((one) => waiting.retain && one.retain && one.topic === waiting.topic);
  }

  /**
   * In its order, and before what waits: who is asked for less would get no less by being sent all else meanwhile.
   * @param newer is sent in its place: what is older would be kept for the newest
   */
  #later(waiting: Waiting, { message }: Error, newer: Waiting | undefined): void {
    waiting.tooMuch = (waiting.tooMuch ?? 0) + 1;
    if (newer) newer.settle.promise.then(waiting.settle.resolve, waiting.settle.reject);
    else this.#tooMuch.push(waiting);
    this.#tell(`there is too much for the broker, and it is sent again: ${message}`);
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#waiting.unshift(...this.#tooMuch.splice(0));
      this.#pump();
    }, PAUSE);
  }

  #stream(): Duplex {
    this.#client.options.reconnectPeriod = this.#nextDelay();
    this.#agree(this.options.largest + HEAD);
    this.#isExplained = false;
    this.#isOver = false;
    try {
      return this.#dial();
    } catch (error) {
      // Such as a certificate that is just being renewed: the next time.
      const nothing = new PassThrough();
      nothing.on("error", (why) => this.#fault(why));
      setImmediate(() => nothing.destroy(error instanceof Error ? error : new Error("no")));
      return nothing;
    }
  }

  #dial(): Duplex {
    const { broker, secrets, largest } = this.options;
    const { host, port, tls } = broker;
    const { password, ...shown } = readSecrets(secrets);
    // Of the packet that the client writes next.
    if (password !== undefined) this.#client.options.password = password;
    const socket = tls
      ? connectTls({
          ...{ ...shown, host, port, rejectUnauthorized: true },
          // RFC 6066: names only, no addresses.
          ...(isIP(host) === 0 && { servername: host }),
          checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
        })
      : connectPlain({ host, port });
    socket.setNoDelay(true);
    const guarded = new Guarded(socket, new PacketMeter(largest + HEAD), () =>
      this.#pace?.arrived(),
    );
    guarded.on("error", (error) => this.#broken(error));
    return guarded;
  }

  /** ms: doubled each time, and longer by up to as much again, so that the boards of a broker that restarts do not all come at once. */
  #nextDelay(): number {
    const delay = this.#delay;
    this.#delay = Math.min(MOST_DELAY, delay * 2);
    return delay * (1 + Math.random());
  }

  #fault(error: unknown): void {
    if (!this.#closing) this.#tell(error instanceof Error ? error.message : String(error));
  }

  /** Of what was refused, and once for all that is refused so, the first says where it was to go. */
  #notTaken(error: unknown, topic: string): void {
    if (this.#closing) return;
    const why = error instanceof Error ? error.message : String(error);
    const isSaid = why.startsWith(topic.slice(0, 200));
    this.#tell(why, isSaid ? why : `${why} (${topic})`);
  }

  /** Of the connection, or of an attempt at one. */
  #broken(error: Error): void {
    if (this.#closing) return;
    const code = "code" in error ? String(error.code) : "unknown";
    // Where the client has no words for it.
    const why = error.message.replace(/: undefined$/, `: reason ${code}`);
    this.#tell(this.#since === Infinity ? advised(why) : why);
  }

  /** The same is told once. */
  #tell(text: string, shown = text): void {
    this.#isExplained = true;
    if (text === this.#told) return;
    this.#told = text;
    this.options.tell(shown);
  }
}

/** Why there is no packet for it, or none that brokers take; undefined where there is one: MQTT 5, sections 1.5.4 and 3.3. */
function faultOf(topic: string, how: Publish): string | undefined {
  const { expiry = 0, responseTopic = "", correlation, user = {} } = how;
  const texts = [topic, responseTopic, ...Object.entries(user).flat()];
  const all = [...texts, correlation ?? ""];
  if (topic === "" || /[+#]/.test(topic)) return "no topic to publish to";
  if (topic.split("/").length > MOST_LEVELS) return "the topic has too many levels";
  if (all.some((text) => Buffer.byteLength(text) > MOST_TEXT)) return "a text is too long";
  // Mosquitto ends the connection at these, and of what is not the topic does not even say why.
  if (texts.some((text) => UNSENDABLE.test(text))) return "a text has control characters";
  if (!(Number.isInteger(expiry) && expiry >= 0 && expiry <= MOST_EXPIRY)) return "no such expiry";
  return undefined;
}

/** Bytes. */
const MOST_TEXT = 0xffff;
/** Of a topic: Mosquitto takes no more. */
const MOST_LEVELS = 200;
/** And what Unicode has set aside to be no character. */
const UNSENDABLE = /[\p{Control}\p{Noncharacter_Code_Point}]/u;
/** s */
const MOST_EXPIRY = 0xffff_ffff;

/** Bytes of the packet, or a few more: MQTT 5, section 3.3. */
function sizeOf({ topic, payload, responseTopic, correlation, type, user = {} }: Waiting): number {
  const texts = [topic, responseTopic ?? "", type ?? "", ...Object.entries(user).flat()];
  const bytes = texts.reduce((sum, text) => sum + 3 + Buffer.byteLength(text), 0);
  return HEADS + bytes + (correlation?.length ?? 0) + Buffer.byteLength(payload);
}

/** Of DISCONNECT, because of what the broker was sent: it is not authorized, has a topic or a size that it does not take, and so on. */
const OF_A_MESSAGE: ReadonlySet<number> = new Set([
  ...[0x81, 0x82, 0x83, 0x87, 0x90, 0x95, 0x99, 0x9a, 0x9b],
]);
const TOO_LARGE = 0x95;
/** Bytes of lengths and numbers in a packet that have a fixed size, at most. */
const HEADS = 24;

/** Of DISCONNECT, that people can do something about: MQTT 5, section 3.14.2.1. */
const REASONS = new Map([
  [0x87, "not authorized"],
  [0x8b, "it is shutting down"],
  [0x8d, "nothing was heard of this for too long"],
  [0x8e, "another client has the same name: each board needs its own"],
  [0x95, "a packet was too large for it"],
  [0x97, "there was too much for it"],
]);

export const reasonOf = (code: number | undefined): string =>
  REASONS.get(code ?? 0) ?? String(code);
