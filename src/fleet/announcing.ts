/** What a board tells of itself, retained by the broker for whoever comes later. */
import type { Registry } from "../api/registry.ts";
import { isObject } from "../object.ts";
import { aboutOf, apisOf } from "./describe.ts";
import { discovery, discoveryTopic } from "./discovery.ts";
import type { Publish } from "./link.ts";
import type { Fleet } from "./load.ts";
import { jsonOf } from "./outcome.ts";
import { SIGN, SIGN_EXPIRY } from "./presence.ts";
import type { Topics } from "./topics.ts";

export interface AnnouncingOptions {
  readonly fleet: Pick<
    Fleet,
    "groups" | "window" | "largest" | "expiry" | "describe" | "homeassistant"
  >;
  readonly board: string;
  readonly topics: Topics;
  readonly registry: Pick<Registry, "describe">;
  readonly publish: (topic: string, payload: string, how: Publish) => Promise<void>;
}

export class Announcing {
  /** As the broker has them, by name; empty where it did not take that. */
  #apis = new Map<string, string>();
  #about = "";
  /** When something was not taken first that is still to be told, ms of performance.now(). */
  #untold = Infinity;
  /** Buttons that Home Assistant was told of, by what they are called there. */
  #buttons: readonly string[] = [];
  #signed = -Infinity;

  constructor(readonly options: AnnouncingOptions) {}

  /** Where Home Assistant is told of the board; undefined: it is not. */
  get homeTopic(): string | undefined {
    const { fleet, board } = this.options;
    return fleet.homeassistant && discoveryTopic(board, fleet.homeassistant);
  }

  /** It can be called. Rejects where the broker does not take that. */
  async online(): Promise<void> {
    const { topics, board, publish } = this.options;
    this.#signed = performance.now();
    // Where a broker dies with its will, nobody says that a board is gone: its age tells.
    await publish(topics.status(board), "online", { retain: true, expiry: SIGN_EXPIRY });
  }

  /** Once in a while, while there is a connection. */
  sign(): void {
    const now = performance.now();
    if (now - this.#signed < SIGN) return;
    this.online().catch(() => {});
    // Its rights there may be others by now.
    if (now - this.#untold > AGAIN) this.describe(false);
  }

  /** @param all also what has not changed */
  describe(all: boolean): void {
    const { fleet, board, topics, registry } = this.options;
    const described = registry.describe();
    const apis = apisOf(described);
    const about = JSON.stringify(aboutOf(fleet, apis));
    this.#untold = Infinity;
    if (all || about !== this.#about)
      this.#put(topics.about(board), about, () => {
        if (this.#about === about) this.#about = "";
      });
    this.#about = about;
    const before = this.#apis;
    this.#apis = new Map(fleet.describe ? apis : []);
    for (const [api, text] of this.#apis)
      if (all || before.get(api) !== text)
        this.#put(topics.api(board, api), text, () => {
          if (this.#apis.get(api) === text) this.#apis.set(api, "");
        });
    // An empty one takes back what is retained.
    for (const api of before.keys())
      if (!this.#apis.has(api)) this.#put(topics.api(board, api), "");
    this.#tellHome(this.#buttons);
  }

  /** What the broker keeps of what Home Assistant was told, perhaps by a server before: of buttons that are gone it is told that. */
  wasTold(payload: string): void {
    const told = jsonOf(payload);
    const { components } = isObject(told) ? told : {};
    this.#tellHome(isObject(components) ? Object.keys(components) : []);
  }

  /** Home Assistant is to know nothing of the board any more. */
  forgetHome(): void {
    if (this.homeTopic !== undefined) this.#put(this.homeTopic, "");
  }

  #tellHome(before: readonly string[]): void {
    const { fleet, board, topics, registry } = this.options;
    const home = fleet.homeassistant;
    if (!home) return;
    const topic = discoveryTopic(board, home);
    const told = discovery(board, home, topics, registry.describe());
    const buttons = Object.keys(told.components);
    const gone = before.filter((name) => !buttons.includes(name)).slice(0, MOST_GONE);
    if (gone.length > 0) {
      // One with nothing but its platform is removed; what is left out would stay.
      const removed = gone.map((name) => [name, { platform: "button" }] as const);
      const components = { ...told.components, ...Object.fromEntries(removed) };
      this.#put(topic, JSON.stringify({ ...told, components }));
    }
    this.#put(topic, JSON.stringify(told));
    this.#buttons = buttons;
  }

  /** Retained. What the broker does not take, it has told. @param not called where it does not */
  #put(topic: string, payload: string, not: () => void = () => {}): void {
    this.options.publish(topic, payload, { retain: true }).catch(() => {
      not();
      this.#untold = Math.min(this.#untold, performance.now());
    });
  }
}

/** ms after which it is told again what the broker did not take. */
const AGAIN = 3_600_000;

/** Buttons that are taken back at once. */
const MOST_GONE = 1000;
