/** What a task is given to read: by its start, or by its clients, in bounds, and never with a gap that nobody sees. */
import { describe, expect, test } from "bun:test";
import { Feeding } from "../../src/api/feeding.ts";
import { BrokenInput, type Source } from "../../src/api/source.ts";
import type { Outcome, TaskInput } from "../../src/launch/task.ts";
import { said } from "./harness.ts";
import { isSettled, Listener, turn } from "./listener.ts";

const MOST = 4 << 20;
const bytes = (text: string) => new TextEncoder().encode(text);

/** A task that remembers what it has read: of each piece only once it is let. */
function fed(most = MOST) {
  const ended = Promise.withResolvers<Outcome>();
  const read: string[] = [];
  const waiting: ((isTaken: boolean) => void)[] = [];
  let isHeld = false;
  const input: TaskInput = {
    give(data) {
      read.push(data.length > 100 ? `${data.length}` : Buffer.from(data).toString());
      if (!isHeld) return Promise.resolve(true);
      return new Promise((resolve) => waiting.push(resolve));
    },
    end: () => void read.push("END"),
  };
  const feeding = new Feeding("sb/c@7", { input, ended: ended.promise }, most);
  return {
    ...{ feeding, read },
    ended: () => ended.resolve({ exit: 0 } as Outcome),
    hold: () => void (isHeld = true),
    take: (isTaken = true) => waiting.shift()?.(isTaken),
    give: (data: string | Uint8Array, end = false) =>
      refusal(feeding.give({ data: typeof data === "string" ? bytes(data) : data, end })),
  };
}

/** undefined where it was taken. */
const refusal = (given: Promise<void>): Promise<unknown> =>
  given.then(
    () => undefined,
    (error: unknown) =>
      said(() => {
        throw error;
      }),
  );

/** Of these pieces; an error in the place of one breaks it off. */
function sourceOf(...pieces: (string | Error)[]) {
  const done: string[] = [];
  const source: Source = {
    limit: () => {},
    async next() {
      const piece = pieces.shift();
      if (piece instanceof Error) throw piece;
      return piece === undefined ? undefined : bytes(piece);
    },
    drop: () => void done.push("dropped"),
  };
  return { source, done, left: () => pieces.length };
}

describe("by its clients", () => {
  const open = () => {
    const client = new Listener();
    const made = fed();
    made.feeding.begin({ client }, () => {
      throw new Error("nothing is broken");
    });
    return { ...made, client };
  };

  test("piece by piece, until one says that this was the last", async () => {
    const { give, read, client } = open();
    expect(await give("a")).toBeUndefined();
    expect(await give("b", true)).toBeUndefined();
    expect(read).toEqual(["a", "b", "END"]);
    expect(await give("c")).toBe("bad-state: sb/c@7: its stdin has ended");
    client.disconnect();
    expect(read).toEqual(["a", "b", "END"]);
  });

  test("until the one goes that has started it", () => {
    const { read, client } = open();
    client.disconnect();
    expect(read).toEqual(["END"]);
  });

  test("until the task has ended: nobody waits for the client then", async () => {
    const { client, ended, read } = open();
    expect(client.handlers).toBe(1);
    ended();
    await turn();
    expect([client.handlers, read]).toEqual([0, []]);
  });

  test("of one that has gone, and of nobody, it reads the end", async () => {
    const gone = new Listener();
    gone.disconnect();
    for (const request of [{ client: gone }, {}]) {
      const { feeding, read } = fed();
      feeding.begin(request, () => {});
      expect(read).toEqual(["END"]);
      expect(await feeding.poured).toBeUndefined();
    }
  });

  test("no more than its config allows: what is beyond ends it", async () => {
    const { feeding, give, read } = fed(5);
    feeding.begin({ client: new Listener() }, () => {});
    expect(await give("abc")).toBeUndefined();
    expect(await give("de")).toBeUndefined();
    expect(await give("f")).toBe(
      "invalid-request: sb/c@7: more than its maxinput of 5 bytes; its stdin ends with what came before",
    );
    expect(read).toEqual(["abc", "de", "END"]);
    expect(await give("")).toBe("bad-state: sb/c@7: its stdin has ended");
  });

  test("no faster than it reads: a piece is refused behind more than a mebibyte that wait", async () => {
    const { give, read, hold, take } = open();
    hold();
    const first = give(new Uint8Array(1 << 20));
    const second = give("x");
    expect(await give("y")).toBe(
      "invalid-request: sb/c@7: it reads slower than this: wait for each reply; its stdin ends with what came before",
    );
    expect(read).toEqual([`${1 << 20}`, "x", "END"]);
    take();
    take();
    expect(await Promise.all([first, second])).toEqual([undefined, undefined]);
  });

  test("as much as it has taken meanwhile may come again", async () => {
    const { give, hold, take, read } = open();
    hold();
    for (let i = 0; i < 3; i++) {
      const large = give(new Uint8Array((1 << 20) + 1));
      expect(await isSettled(large)).toBe(false);
      take();
      expect(await large).toBeUndefined();
    }
    expect(read).toHaveLength(3);
  });

  test("not where it has closed it", async () => {
    const { give, hold, take, read } = open();
    hold();
    const given = give("a");
    take(false);
    expect(await given).toBe("bad-state: sb/c@7 has closed its stdin, or has ended");
    expect(await give("b")).toBe("bad-state: sb/c@7: its stdin has ended");
    expect(read).toEqual(["a"]);
  });
});

describe("by its start", () => {
  test("all of it, then the end; nobody else gives it anything", async () => {
    const { feeding, read, give } = fed();
    const { source, done } = sourceOf("a", "b");
    const client = new Listener();
    feeding.begin({ input: source, client }, () => {
      throw new Error("nothing is broken");
    });
    expect(client.handlers).toBe(0);
    expect(await give("x")).toBe("bad-state: sb/c@7: its stdin has ended");
    expect(await feeding.poured).toBeUndefined();
    expect([read, done]).toEqual([["a", "b", "END"], ["dropped"]]);
  });

  test("no faster than it reads, and no longer", async () => {
    const { feeding, read, hold, take } = fed();
    const { source, done, left } = sourceOf("a", "b", "c");
    hold();
    feeding.begin({ input: source }, () => {});
    await turn();
    expect([read, left()]).toEqual([["a"], 2]);
    take();
    await turn();
    expect([read, left()]).toEqual([["a", "b"], 1]);
    take(false);
    expect(await feeding.poured).toBeUndefined();
    expect([left(), done]).toEqual([1, ["dropped"]]);
  });

  test("of one that ends, what is still to come is dropped", async () => {
    const { feeding, ended, hold } = fed();
    const { source, done } = sourceOf("a");
    hold();
    feeding.begin({ input: source }, () => {});
    await turn();
    expect(done).toEqual([]);
    ended();
    await turn();
    expect(done).toEqual(["dropped"]);
  });

  test.each<[Error, string]>([
    [new BrokenInput("cut off"), "cut off"],
    [new RangeError("bug"), "its input cannot be read: RangeError: bug"],
  ])("of what breaks off it never reads an end: %#", async (error, message) => {
    const { feeding, read } = fed();
    const { source, done } = sourceOf("a", error);
    const told: unknown[] = [];
    feeding.begin({ input: source }, (why) => void told.push(why));
    const why = await feeding.poured;
    expect(why).toBeInstanceOf(BrokenInput);
    expect(why?.message).toBe(message);
    expect([told, read, done]).toEqual([[why], ["a"], []]);
  });
});
