/** The calls of a board as AsyncAPI 3.0 describes them, with the bindings of MQTT. */
import { isObject } from "../object.ts";
import { version } from "../version.ts";
import type { Broker } from "./load.ts";

type Json = Record<string, unknown>;

/**
 * @param apis what the board has told of each
 * @param prefix of all topics
 */
export function asyncApi(
  board: string,
  apis: ReadonlyMap<string, unknown>,
  { broker, prefix }: { readonly broker: Broker; readonly prefix: string },
): Json {
  const channels: Json = {};
  const operations: Json = {};
  const parameters = { operator: { description: "who calls, as the broker knows it" } };
  for (const [api, told] of apis) {
    for (const verb of verbsOf(told)) {
      const key = keyOf(`${api}_${verb.name}`, channels);
      channels[key] = {
        address: `${prefix}/${board}/call/{operator}/${api}/${verb.name}`,
        parameters,
        messages: {
          // What takes anything says nothing: a schema there is an object.
          call: { ...CALL, ...(isObject(verb.arguments) && { payload: verb.arguments }) },
        },
      };
      operations[key] = {
        // What the board does: it receives calls, and sends its answers.
        action: "receive",
        channel: { $ref: `#/channels/${key}` },
        ...(verb.info !== undefined && { summary: verb.info }),
        ...(verb.privileges.length > 0 && { "x-privileges": verb.privileges }),
        bindings: { mqtt: { qos: 1, retain: false, bindingVersion: "0.2.0" } },
        reply: {
          address: { location: "$message.header#/responseTopic" },
          channel: { $ref: "#/channels/out" },
        },
      };
    }
  }
  channels["out"] = {
    address: `${prefix}/${board}/out/{operator}/{id}`,
    parameters: { ...parameters, id: { description: "as the operator has chosen it" } },
    messages: { answer: ANSWER },
  };
  channels["status"] = {
    address: `${prefix}/${board}/status`,
    messages: {
      status: {
        contentType: "text/plain",
        payload: { type: "string", enum: ["online", "offline"] },
      },
    },
  };
  operations["status"] = {
    action: "send",
    channel: { $ref: "#/channels/status" },
    bindings: { mqtt: { qos: 1, retain: true, bindingVersion: "0.2.0" } },
  };
  return {
    asyncapi: "3.0.0",
    info: { title: `spawnbox: ${board}`, version },
    defaultContentType: "application/json",
    servers: {
      broker: {
        host: `${broker.host}:${broker.port}`,
        protocol: broker.tls ? "secure-mqtt" : "mqtt",
        protocolVersion: "5",
      },
    },
    channels,
    operations,
  };
}

const CALL = {
  contentType: "application/json",
  bindings: {
    mqtt: {
      responseTopic: { type: "string" },
      correlationData: { type: "string", maxLength: 256 },
      bindingVersion: "0.2.0",
    },
  },
};

const ANSWER = {
  summary:
    "user properties: kind (accepted, event, part or reply) and seq, from 0 on without a gap; events are a line each",
  contentType: "application/json",
  bindings: { mqtt: { correlationData: { type: "string" }, bindingVersion: "0.2.0" } },
};

/** No other has it, though names have characters that it cannot have. */
function keyOf(name: string, taken: Json): string {
  const key = name.replace(/[^A-Za-z0-9_-]/g, "_");
  let count = 1;
  while (Object.hasOwn(taken, count === 1 ? key : `${key}_${count}`)) count++;
  return count === 1 ? key : `${key}_${count}`;
}

interface Told {
  readonly name: string;
  readonly info: string | undefined;
  readonly privileges: readonly unknown[];
  readonly arguments: unknown;
}

/** What was told by a board may be anything. */
function verbsOf(told: unknown): Told[] {
  const verbs = isObject(told) && Array.isArray(told["verbs"]) ? told["verbs"] : [];
  return verbs.filter(isObject).flatMap(({ name, info, privileges, arguments: args }) =>
    typeof name !== "string"
      ? []
      : [
          {
            name,
            info: typeof info === "string" ? info : undefined,
            privileges: Array.isArray(privileges) ? privileges : [],
            arguments: args,
          },
        ],
  );
}
