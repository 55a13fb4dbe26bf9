/** Subscribers of a task that a test lets send events. */
import { EventData } from "../../src/api/event-data.ts";
import type { Patience } from "../../src/api/patience.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { type Gap, Subscribers } from "../../src/api/subscribers.ts";

export const ID = "0123456789abcde";

/** Subscribers of a task that has sent events 1 to `sent`, each with its number as `n`. */
export function subscribed(sent = 0, patience?: Patience) {
  const ring = new Ring(1 << 20, new Rings());
  const past = { id: ID, pid: 7, event: "p/x", ring };
  const overflow = (gap: Gap) => ({ type: "overflow", ...gap });
  const subscribers = new Subscribers(past, overflow, patience);
  const next = (more: object = {}): EventData => {
    const data = EventData.of({ n: ring.last + 1, ...more });
    ring.push(data);
    return data;
  };
  for (let i = 0; i < sent; i++) next();
  return { ring, subscribers, publish: (more?: object) => subscribers.publish(next(more)) };
}
