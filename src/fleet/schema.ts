/** The schema of a fleet file: which broker, who this machine is there, and how it shows that. */
import { type Static, Type } from "@sinclair/typebox";
import { flag, list, object, optional } from "../config/shapes.ts";
import { NAME, PREFIX, PREFIX_PATTERN } from "./topics.ts";

const Name = (description: string) => Type.String({ pattern: NAME, description });
const File = (description: string) => Type.String({ minLength: 1, description });

/** Seconds: a broker keeps calls for a board that is away as long. */
export const EXPIRY = 60;
/** Messages that an operator has not confirmed. */
export const WINDOW = 64;
/** Bytes of arguments. */
export const LARGEST = 256 << 10;
/** Seconds. */
export const KEEPALIVE = 30;

const HomeAssistant = object(
  {
    operator: Name(
      "the name by which Home Assistant calls, which the access file grants something to",
    ),
    prefix: optional(
      Type.String({
        pattern: PREFIX_PATTERN,
        description: "of its discovery (default homeassistant)",
      }),
    ),
  },
  { description: "a button for each verb that needs no arguments" },
);

export const FleetFile = object(
  {
    $schema: optional(Type.String({ description: "for editors" })),
    broker: Type.String({
      minLength: 1,
      description: "mqtts://HOST[:PORT]; mqtt://HOST[:PORT] only on this machine",
    }),
    board: optional(
      Name("what this board is called, as in its certificate; without, it is none of the fleet"),
    ),
    operator: optional(Name("as whom spawnbox fleet calls, as in its certificate")),
    groups: optional(
      list(Name("a group"), { description: "whose calls it takes, besides those to all" }),
    ),
    ca: optional(File("authorities that the broker's certificate is of (default: the system's)")),
    cert: optional(File("the certificate that is shown to the broker")),
    key: optional(File("its key, which others must not be able to read")),
    password: optional(File("a file with the password of that name, for brokers that ask for one")),
    prefix: optional(
      Type.String({ pattern: PREFIX_PATTERN, description: `of all topics (default ${PREFIX})` }),
    ),
    expiry: optional(
      Type.Integer({
        minimum: 1,
        maximum: 604_800,
        description: `s: calls that expire later are refused, and the broker keeps those to a board that is away as long (default ${EXPIRY})`,
      }),
    ),
    window: optional(
      Type.Integer({
        minimum: 1,
        maximum: 512,
        description: `messages of a call that its operator has not confirmed (default ${WINDOW})`,
      }),
    ),
    largest: optional(
      Type.Integer({
        minimum: 1024,
        maximum: 4 << 20,
        description: `bytes of the arguments of a call (default ${LARGEST})`,
      }),
    ),
    keepalive: optional(
      Type.Integer({
        minimum: 5,
        maximum: 3600,
        description: `s: so long after a board went silent it is offline, and half of that again (default ${KEEPALIVE})`,
      }),
    ),
    describe: optional(
      flag({ description: "false: the broker is not told what verbs there are (default true)" }),
    ),
    homeassistant: optional(HomeAssistant),
  },
  { description: "a spawnbox fleet file" },
);

export type FleetFile = Static<typeof FleetFile>;
