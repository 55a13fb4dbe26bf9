/**
 * Where boards and operators of a fleet meet in an MQTT broker. Who publishes stands in the topic, since a broker does not tell
 * it: its rights let each write only where its own name is.
 *
 *     PREFIX/BOARD/status                          online or offline, retained
 *     PREFIX/BOARD/about                           what it is, retained
 *     PREFIX/BOARD/api/API                         what verbs it has, retained
 *     PREFIX/BOARD/call/OPERATOR/API/VERB…         a call
 *     PREFIX/BOARD/out/OPERATOR/ID                 all that is answered
 *     PREFIX/BOARD/flow/OPERATOR/ID                what the operator says in its course
 *     PREFIX/_group/GROUP/call/OPERATOR/API/VERB…  a call to all of a group
 */

export const PREFIX = "sb/v1";
/** The group of all boards. */
export const ALL = "all";
const GROUPS = "_group";

/** Of boards, operators and groups: no level of a topic with a meaning of its own (`+`, `#`, `/`), and none of ours (`_group`). */
export const NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
/** Levels of a prefix; `$` in front belongs to brokers. */
export const PREFIX_PATTERN = "^[A-Za-z0-9_.-]{1,64}(?:/[A-Za-z0-9_.-]{1,64}){0,7}$";
/** Of a call, as its operator has chosen it. */
export const ID = /^[A-Za-z0-9_-]{1,64}$/;

const NAMED = new RegExp(NAME);
export const isName = (text: string): boolean => NAMED.test(text);

export interface CallTopic {
  readonly operator: string;
  readonly api: string;
  readonly verb: string;
  /** undefined where it is for one board. */
  readonly group: string | undefined;
}

export interface FlowTopic {
  readonly operator: string;
  readonly id: string;
}

/** The topics of one fleet. */
export class Topics {
  constructor(readonly prefix: string) {}

  status(board: string): string {
    return `${this.prefix}/${board}/status`;
  }

  about(board: string): string {
    return `${this.prefix}/${board}/about`;
  }

  api(board: string, api: string): string {
    return `${this.prefix}/${board}/api/${api}`;
  }

  call(board: string, operator: string, method: string): string {
    return `${this.prefix}/${board}/call/${operator}/${method}`;
  }

  groupCall(group: string, operator: string, method: string): string {
    return `${this.prefix}/${GROUPS}/${group}/call/${operator}/${method}`;
  }

  out(board: string, operator: string, id: string): string {
    return `${this.prefix}/${board}/out/${operator}/${id}`;
  }

  flow(board: string, operator: string, id: string): string {
    return `${this.prefix}/${board}/flow/${operator}/${id}`;
  }

  /** What a board subscribes to: no two of them fit the same topic, since a broker delivers twice then. */
  ofBoard(board: string, groups: readonly string[]): string[] {
    const own = [`${this.prefix}/${board}/call/#`, `${this.prefix}/${board}/flow/#`];
    const all = new Set([...groups, ALL]);
    return [...own, ...[...all].map((group) => `${this.prefix}/${GROUPS}/${group}/call/#`)];
  }

  /** The call that a topic is, to this board or one of its groups; undefined where it is none. */
  readCall(topic: string, board: string, groups: readonly string[]): CallTopic | undefined {
    const levels = this.#below(topic);
    if (!levels) return undefined;
    const [first, second = ""] = levels;
    const isGroup = first === GROUPS && (second === ALL || groups.includes(second));
    if (!isGroup && first !== board) return undefined;
    const [kind, operator = "", api = "", ...verb] = levels.slice(isGroup ? 2 : 1);
    if (kind !== "call" || !isName(operator) || api === "" || verb.join("/") === "")
      return undefined;
    return { operator, api, verb: verb.join("/"), group: isGroup ? second : undefined };
  }

  readFlow(topic: string, board: string): FlowTopic | undefined {
    const [first, kind, operator = "", id = "", ...more] = this.#below(topic) ?? [];
    if (first !== board || kind !== "flow" || more.length > 0) return undefined;
    return isName(operator) && ID.test(id) ? { operator, id } : undefined;
  }

  /** Of what an operator gets: the board, what it is, and what stands behind that. */
  readBoard(
    topic: string,
  ):
    | { readonly board: string; readonly kind: string; readonly rest: readonly string[] }
    | undefined {
    const [board = "", kind = "", ...rest] = this.#below(topic) ?? [];
    return isName(board) && kind !== "" ? { board, kind, rest } : undefined;
  }

  #below(topic: string): string[] | undefined {
    return topic.startsWith(`${this.prefix}/`)
      ? topic.slice(this.prefix.length + 1).split("/")
      : undefined;
  }
}
