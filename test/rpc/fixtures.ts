/** What real binders have sent, and what it means. */
import type { Packet } from "../../src/rpc/packet.ts";
import { TYPE } from "../../src/rpc/value.ts";
import type { Offer, Set } from "../../src/rpc/wire.ts";
import type { Message } from "../../src/rpc/wsapi.ts";
import { hex } from "./hex.ts";

const json = (text: string) => ({ type: TYPE.json, bytes: Buffer.from(`${text}\0`) });
const string = (text: string) => ({ type: TYPE.string, bytes: Buffer.from(`${text}\0`) });

export const HELLOS: readonly (readonly [string, Offer | Set])[] = [
  ["56 09 14 4c 17 03 03 00 00", { type: "offer", versions: [3, 0, 0] }],
  ["56 09 14 4c 17 03 03 01 00", { type: "offer", versions: [3, 1, 0] }],
  ["56 09 14 4c 17 02 03 01", { type: "offer", versions: [3, 1] }],
  ["56 09 14 4c 17 01 01", { type: "offer", versions: [1] }],
  ["76 03 04 00", { type: "set", version: 3 }],
  ["76 01", { type: "set", version: 1 }],
  ["76 00", { type: "set", version: 0 }],
];

/** With the sequence number. */
export const PACKETS: readonly (readonly [string, number, Packet])[] = [
  [
    'f8 ff 01 00 12 00 00 00 ff ff 03 00 "SESS1" 00 (+6)',
    1,
    { type: "create", kind: "session", id: 3, name: "SESS1" },
  ],
  [
    'f8 ff 02 00 11 00 00 00 fe ff 01 00 "TOK1" 00 (+7)',
    2,
    { type: "create", kind: "token", id: 1, name: "TOK1" },
  ],
  [
    `ff ff 03 00 4d 00 00 00 01 00 01 00
     (+6) fe ff 09 00 fc ff 74 62 00
     (+7) fe ff 0b 00 fb ff 70 69 6e 67 00
     00 ff ff 08 00 ff ff 03 00
     ff ff 08 00 fe ff 01 00
     (+4) fc ff 0b 00 fc ff 6e 75 6c 6c 00 (+3)`,
    3,
    {
      type: "call",
      callid: 1,
      api: "tb",
      verb: "ping",
      session: 3,
      token: 1,
      values: [json("null")],
    },
  ],
  [
    'fe ff 01 00 1f 00 00 00 01 00 01 00 (+4) 00 00 fc ff 0d 00 fd ff "pong 1" 00 (+1)',
    1,
    { type: "reply", callid: 1, status: 0, values: [string("pong 1")] },
  ],
  [
    'fe ff 05 00 25 00 00 00 03 00 01 00 f4 ff ff ff 00 00 fc ff 13 00 fd ff "bad argument" 00 (+3)',
    5,
    { type: "reply", callid: 3, status: -12, values: [string("bad argument")] },
  ],
  [
    "fe ff 07 00 10 00 00 00 07 00 00 00 fc ff ff ff",
    7,
    { type: "reply", callid: 7, status: -4, values: [] },
  ],
  [
    "fe ff 08 00 10 00 00 00 08 00 00 00 11 fc ff ff",
    8,
    { type: "reply", callid: 8, status: -1007, values: [] },
  ],
  [
    'f8 ff 09 00 14 00 00 00 fd ff 02 00 "tb/tick" 00 (+4)',
    9,
    { type: "create", kind: "event", id: 2, name: "tb/tick" },
  ],
  ["fc ff 0a 00 0c 00 00 00 09 00 02 00 (+4)", 10, { type: "subscribe", callid: 9, event: 2 }],
  [
    'fd ff 0c 00 20 00 00 00 02 00 01 00 (+6) fc ff 0e 00 fc ff "{\\"n\\":1}" 00',
    12,
    { type: "push", event: 2, values: [json('{"n":1}')] },
  ],
  ["fb ff 0f 00 0c 00 00 00 0c 00 02 00 (+4)", 15, { type: "unsubscribe", callid: 12, event: 2 }],
  ["f7 ff 10 00 0c 00 00 00 fd ff 02 00 (+4)", 16, { type: "destroy", kind: "event", id: 2 }],
  ["fa ff 17 00 0a 00 00 00 02 00 (+6)", 23, { type: "unexpected", event: 2 }],
];

const call = {
  type: "call",
  callid: 1,
  verb: "ping",
  session: 3,
  token: 1,
  json: '"null"',
  creds: "63:63:0-NoLabel",
} as const;

export const MESSAGES: readonly (readonly [string, Message])[] = [
  ["56 09 14 4c 17 01 01", { type: "offer", versions: [1] }],
  ["76 01", { type: "set", version: 1 }],
  ['53 03 00 06 00 00 00 "SESS1" 00', { type: "create", kind: "session", id: 3, name: "SESS1" }],
  ['54 01 00 05 00 00 00 "TOK1" 00', { type: "create", kind: "token", id: 1, name: "TOK1" }],
  [
    `4b 01 00 05 00 00 00 "ping" 00 03 00 01 00 07 00 00 00 "\\"null\\"" 00
     10 00 00 00 "63:63:0-NoLabel" 00`,
    call,
  ],
  [
    '6b 01 00 00 00 00 00 00 00 00 00 09 00 00 00 "\\"pong 1\\"" 00',
    { type: "reply", callid: 1, error: null, info: null, json: '"pong 1"' },
  ],
  [
    '6b 01 00 10 00 00 00 "invalid-request" 00 0d 00 00 00 "bad argument" 00 05 00 00 00 "null" 00',
    { type: "reply", callid: 1, error: "invalid-request", info: "bad argument", json: "null" },
  ],
  ['45 02 00 08 00 00 00 "tb/tick" 00', { type: "create", kind: "event", id: 2, name: "tb/tick" }],
  ["58 01 00 02 00", { type: "subscribe", callid: 1, event: 2 }],
  ["78 09 00 02 00", { type: "unsubscribe", callid: 9, event: 2 }],
  ["65 02 00", { type: "destroy", kind: "event", id: 2 }],
  ['50 02 00 0b 00 00 00 "{ \\"n\\": 1 }" 00', { type: "push", event: 2, json: '{ "n": 1 }' }],
  [
    `42 06 00 00 00 "tb/bc" 00 10 00 00 00 "{ \\"all\\": true }" 00
     00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 0a`,
    {
      type: "broadcast",
      name: "tb/bc",
      json: '{ "all": true }',
      uuid: "00112233445566778899aabbccddeeff",
      hop: 10,
    },
  ],
  ["55 02 00", { type: "unexpected", event: 2 }],
  ["44 01 00", { type: "describe", id: 1 }],
  ['64 01 00 05 00 00 00 "null" 00', { type: "description", id: 1, json: "null" }],
];

export const bytesOf = (fixtures: readonly (readonly [string, ...unknown[]])[]): Buffer[] =>
  fixtures.map(([text]) => hex(text));
