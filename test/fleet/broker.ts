/** A real Mosquitto for tests, on a free port of this machine, with a directory of its own, and clients that say whatever they like. */
import type { Subprocess } from "bun";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectMqtt, type IPublishPacket, type MqttClient } from "mqtt";
import {
  authorityOf,
  type Made,
  makeAuthority,
  makeClient,
  makeServer,
} from "../../src/access/authority.ts";

const DAY = 86_400_000;
const from = new Date(Date.now() - DAY);

export interface Broker {
  readonly dir: string;
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** Path of a certificate or key of `name`, made where it is not there. */
  cert(name: string, days?: number): { readonly cert: string; readonly key: string };
  readonly ca: string;
  /** Kills it with SIGKILL and waits for its end. */
  crash(): Promise<void>;
  /** Starts it again at the same place. */
  again(): Promise<void>;
  /** Bytes that it holds in memory. */
  readonly memory: number;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BrokerOptions {
  /** With certificates; without, whoever connects may do anything. */
  readonly tls?: boolean;
  /** More of its configuration. */
  readonly more?: readonly string[];
  /** Of the operator op1. */
  readonly acl?: string;
  /** Names of the broker in its certificate. */
  readonly names?: readonly string[];
  /** Days that its certificate is valid, beginning yesterday. */
  readonly days?: number;
}

/** Where it is not, and nobody has promised that it is, what needs it is skipped. */
export const hasBroker =
  Boolean(process.env["CI"]) ||
  Bun.which("mosquitto", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` }) !== null;

const acl = join(import.meta.dir, "../../config/fleet/fleet.acl");

export function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}

export async function startBroker({
  tls = true,
  more = [],
  names = ["localhost", "127.0.0.1"],
  days = 30,
  acl: rights = readFileSync(acl, "utf8"),
}: BrokerOptions = {}): Promise<Broker> {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-broker-"));
  chmodSync(dir, 0o755);
  const at = (file: string): string => join(dir, file);
  const authority = makeAuthority("fleet of a test", from);
  const put = (name: string, { cert, key }: Made): void => {
    writeFileSync(at(`${name}.pem`), cert);
    writeFileSync(at(`${name}.key`), key, { mode: 0o640 });
  };
  put("ca", authority);
  put("broker", makeServer(authorityOf(authority), names, { from, days }));
  writeFileSync(at("acl"), rights);
  const port = freePort();
  const lines = [
    `listener ${port} 127.0.0.1`,
    ...(tls
      ? [
          ...[
            `cafile ${at("ca.pem")}`,
            `certfile ${at("broker.pem")}`,
            `keyfile ${at("broker.key")}`,
          ],
          ...["require_certificate true", "use_identity_as_username true", "allow_anonymous false"],
          `acl_file ${at("acl")}`,
        ]
      : ["allow_anonymous true"]),
    ...["set_tcp_nodelay true", "persistence true", `persistence_location ${dir}/`],
    "user root",
    ...more,
  ];
  writeFileSync(at("conf"), `${lines.join("\n")}\n`);
  let running: Subprocess | undefined;
  const start = async (): Promise<void> => {
    running = Bun.spawn(["mosquitto", "-c", at("conf")], {
      env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` },
      stdio: ["ignore", "ignore", Bun.file(at("log"))],
    });
    for (let tries = 0; tries < 500; tries++) {
      if (await reaches(port)) return;
      if (running.exitCode !== null) break;
      await Bun.sleep(20);
    }
    throw new Error(`mosquitto did not start: ${readFileSync(at("log"), "utf8")}`);
  };
  await start();
  const made = new Map<string, Made>();
  return {
    ...{ dir, port, url: `${tls ? "mqtts" : "mqtt"}://localhost:${port}`, ca: at("ca.pem") },
    get pid() {
      return running?.pid ?? 0;
    },
    get memory() {
      const status = readFileSync(`/proc/${running?.pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
    },
    cert(name, valid = 30) {
      if (!made.has(name)) {
        const one = makeClient(authority, name, { from, days: valid });
        made.set(name, one);
        put(name, one);
      }
      return { cert: at(`${name}.pem`), key: at(`${name}.key`) };
    },
    async crash() {
      running?.kill("SIGKILL");
      await running?.exited;
    },
    again: start,
    async [Symbol.asyncDispose]() {
      running?.kill("SIGKILL");
      await running?.exited;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function reaches(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** The keys of a fleet file for a name. */
export function fleetOf(broker: Broker, name: string): Record<string, unknown> {
  const secret = broker.url.startsWith("mqtts:") && { ca: broker.ca, ...broker.cert(name) };
  return { broker: broker.url, ...secret };
}

export interface Got {
  readonly topic: string;
  readonly text: string;
  readonly kind: string | undefined;
  readonly seq: number;
  readonly user: Readonly<Record<string, unknown>>;
  readonly retain: boolean;
  readonly correlation: string | undefined;
}

/** A client of the broker that says whatever it likes. */
export class Raw {
  readonly got: Got[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(readonly client: MqttClient) {
    client.on("message", (topic, payload, packet) => {
      const user = packet.properties?.userProperties ?? {};
      this.got.push({
        ...{ topic, text: payload.toString(), user, retain: packet.retain },
        kind: user["kind"]?.toString(),
        seq: Number(user["seq"]),
        correlation: packet.properties?.correlationData?.toString(),
      });
      for (const look of this.#waiting) look();
    });
    client.on("error", () => {});
  }

  static async as(broker: Broker, name: string): Promise<Raw> {
    const tls = broker.url.startsWith("mqtts:");
    const { cert, key } = broker.cert(name);
    const client = connectMqtt({
      ...{ protocol: tls ? "mqtts" : "mqtt", host: "localhost", port: broker.port },
      ...{ protocolVersion: 5, clientId: `raw-${name}-${crypto.randomUUID()}`, username: name },
      ...(tls && { ca: readFileSync(broker.ca), cert: readFileSync(cert), key: readFileSync(key) }),
    });
    const raw = new Raw(client);
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
    });
    return raw;
  }

  async subscribe(...topics: string[]): Promise<void> {
    await this.client.subscribeAsync(topics, { qos: 1 });
  }

  /** Rejects where the broker does not take it. */
  async publish(
    topic: string,
    payload: string | Buffer,
    properties: IPublishPacket["properties"] = {},
    how: { readonly retain?: boolean; readonly qos?: 0 | 1 } = {},
  ): Promise<void> {
    await this.client.publishAsync(topic, payload, { qos: 1, ...how, properties });
  }

  /** The first that fits, of those that came or come. */
  async find(fits: (got: Got) => boolean, limit = 20_000): Promise<Got> {
    const found = this.got.find(fits);
    if (found) return found;
    return new Promise<Got>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`nothing fits of ${JSON.stringify(this.got.map(({ topic }) => topic))}`));
      }, limit);
      const look = (): void => {
        const one = this.got.find(fits);
        if (!one) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(one);
      };
      this.#waiting.add(look);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true);
  }
}
