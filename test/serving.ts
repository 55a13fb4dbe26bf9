/** A server for the tests of one `describe`. */
import { afterAll, beforeAll } from "bun:test";
import type { Served } from "./served.ts";

/** Starts it before the tests and ends it after them; only meanwhile can it be used. */
export function serving(start: () => Promise<Served>): Served {
  let served: Served | undefined;
  beforeAll(async () => {
    served = await start();
  });
  afterAll(() => served?.[Symbol.asyncDispose]());
  const now = (): Served => {
    if (!served) throw new Error("the server is not running: use it in tests and hooks");
    return served;
  };
  return new Proxy({} as Served, { get: (_, key) => Reflect.get(now(), key) as unknown });
}
