/**
 * A sample plugin: it counts words, makes events of `key=value` lines, and has a function for actions.
 * It needs no build: the server loads it as it is. For an editor or a type check, the shapes are in src/plugins/plugin.ts:
 *
 *     import type { Plugin } from "../../src/plugins/plugin.ts";
 */
import type { Plugin } from "../../src/plugins/plugin.ts";

/** Lines of UTF-8 from chunks that may split them anywhere. */
function lines() {
  const decoder = new TextDecoder();
  let rest = "";
  return (chunk?: Uint8Array): string[] => {
    const all = (rest + (chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode())).split(
      "\n",
    );
    rest = chunk ? (all.pop() ?? "") : "";
    return all.filter((line) => line !== "");
  };
}

export const encoders: Plugin["encoders"] = {
  /** An event per line of `key=value …`, with the values as an object; numbers become numbers. */
  keys: {
    check: (opts) =>
      Object.entries(opts).flatMap(([name, value]) =>
        name === "prefix" && typeof value === "string"
          ? []
          : [`${name}: the option is prefix, a text`],
      ),
    begin(opts, emit) {
      const prefix = typeof opts["prefix"] === "string" ? opts["prefix"] : "";
      const split = lines();
      const send = async (texts: string[]): Promise<void> => {
        for (const text of texts) {
          const pairs = text.split(/\s+/).map((pair) => pair.split("=", 2));
          const entries = pairs.map(([key = "", value = ""]) => {
            return [
              prefix + key,
              value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value,
            ];
          });
          // Awaited, so that a slow client slows the command down instead of filling memory.
          await emit({ stdout: Object.fromEntries(entries) });
        }
      };
      return {
        stdout: (chunk) => send(split(chunk)),
        stderr: () => {},
        async end() {
          await send(split());
          return {};
        },
      };
    },
  },

  /** The number of words, in the reply. */
  words: {
    synchronous: true,
    begin() {
      const split = lines();
      let words = 0;
      const count = (texts: string[]) => {
        for (const text of texts) words += text.split(/\s+/).filter(Boolean).length;
      };
      return {
        stdout: (chunk) => count(split(chunk)),
        stderr: () => {},
        end() {
          count(split());
          return { words };
        },
      };
    },
  },
};

let highest: number | undefined;

export const functions: Plugin["functions"] = {
  /** Remembers the highest value: an action of `events`. */
  note(args) {
    const data: unknown =
      typeof args === "object" && args !== null && "data" in args ? args.data : args;
    const text = JSON.stringify(data);
    const value = Number(/"temp":(-?[\d.]+)/.exec(text)?.[1] ?? Number.NaN);
    if (!Number.isNaN(value)) highest = Math.max(highest ?? value, value);
    return null;
  },
  /** Tells it: an action of `extra`. */
  highest: () => ({ highest: highest ?? null }),
  /** Calls a verb of the server: an action of `onload`. */
  async hello(args, { call, log }) {
    const answer = await call("sensor", "ping");
    log("notice", `the sensor plugin is here: ${String(args)}, ${String(answer)}`);
  },
};
