/** A board at a broker that the test speaks for, at times that it chooses. */
import { type IPublishPacket } from "mqtt-packet";
import type { Request } from "../../src/api/client.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import type { Refusal } from "../../src/api/witness.ts";
import type { BoardOptions } from "../../src/fleet/board.ts";
import type { Message } from "../../src/fleet/link.ts";
import type { Fleet } from "../../src/fleet/load.ts";
import { clock } from "./clock.ts";
import { type Answering, simulated } from "./simulated.ts";
import { type Answer, granting, type Said, speaking } from "./speaking.ts";

const FLOW = "sb/v1/b1/flow/op1/";
/** Where the answers of a call come. */
export const out = (id: string, operator = "op1") => `sb/v1/b1/out/${operator}/${id}`;
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
/** The reply of who has started a task. */
export const TASK = success({ api: "boat", sandbox: "s", command: "horn", pid: 7 });

export interface How {
  readonly fleet?: Partial<Fleet>;
  readonly options?: Partial<BoardOptions>;
  readonly answering?: Answering;
  readonly answer?: Answer;
}

/** At a broker that the test speaks for. */
export function boardAt({ fleet = {}, options = {}, answering, answer = granting }: How = {}) {
  const time = clock();
  const broker = speaking(answer);
  const told: string[] = [];
  const refused: Refusal[] = [];
  const requests: Request[] = [];
  const [board, look] = time.making(() =>
    simulated(
      broker,
      "b1",
      (name, request) => {
        requests.push(request);
        return answering ? answering(name, request) : success("ok");
      },
      fleet,
      { tell: (text) => told.push(text), refused: (one) => refused.push(one), ...options },
    ),
  );
  const message = (topic: string, payload: string, more: Partial<Message> = {}) =>
    board.take({ topic, payload, qos: 1, retain: false, dup: false, ...more });
  /** A call of that id; its properties may be others. */
  const call = (
    id: string,
    {
      operator = "op1",
      verb = "horn",
      payload = "",
      more = {} as Partial<Message>,
      properties = {} as IPublishPacket["properties"],
    } = {},
  ) =>
    message(`sb/v1/b1/call/${operator}/boat/${verb}`, payload, {
      properties: {
        ...{ responseTopic: out(id, operator), messageExpiryInterval: 20 },
        ...properties,
      },
      ...more,
    });
  const flow = (id: string, what: object | string, more: Partial<Message> = {}) =>
    message(FLOW + id, typeof what === "string" ? what : JSON.stringify(what), more);
  let marks = 0;
  /** Once all that was said before has come: what was answered to the calls of these ids, unless to all. */
  const said = async (...ids: string[]): Promise<Said[]> => {
    await turn();
    const id = `mark-${++marks}`;
    flow(id, { from: 0 });
    await broker.when(() => broker.at(out(id)).length > 0);
    return ids.flatMap((one) => broker.at(out(one)));
  };
  const joined = async (): Promise<void> => {
    const before = broker.at("sb/v1/b1/status").length;
    if (broker.connects.length === 0) board.start();
    await broker.when(() => broker.at("sb/v1/b1/status").length > before);
    while (!board.isJoined) await turn();
  };
  return {
    ...{ time, broker, board, look, told, refused, requests, message, call, flow, said, joined },
    async [Symbol.asyncDispose]() {
      await board.close();
      broker[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}
export const statusOf = ({ text }: Said) => (JSON.parse(text) as Reply).request.status;
export const infoOf = ({ text }: Said) => (JSON.parse(text) as Reply).request.info;
