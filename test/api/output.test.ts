/** The way of a task's bytes into its encoding: when they come, what is counted of them, and what goes wrong in an encoder. */
import { describe, expect, test } from "bun:test";
import { Output } from "../../src/api/output.ts";
import { rendering } from "../../src/api/rendering.ts";
import { Backlog } from "../../src/backlog.ts";
import { type Encoding, OutputLost } from "../../src/encoders/encoder.ts";
import { Hold } from "../../src/encoders/hold.ts";
import { isSettled, turn } from "./listener.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("of large outputs four megabytes become replies at a time, of all together", async () => {
  const enter = (bytes: number) => rendering.enter({ peer: "a", connection: {} }, bytes);
  expect(enter(64 << 10)).toBeUndefined();
  const all = [3 << 20, 1 << 20, (64 << 10) + 1].map((size) => Promise.resolve(enter(size)));
  expect(await Promise.all(all.map((one) => isSettled(one)))).toEqual([true, true, false]);
  for (const one of all) (await one)?.();
});

/** An output with an encoding that remembers what it gets. */
function outputOf(own: Partial<Encoding> = {}, asker?: ConstructorParameters<typeof Output>[3]) {
  const got: string[] = [];
  const encoding: Encoding = {
    stdout: (chunk) => void got.push(`out ${Buffer.from(chunk).toString()}`),
    stderr: (chunk) => void got.push(`err ${Buffer.from(chunk).toString()}`),
    end: () => ({ fields: got.length }),
  };
  // Getters, too.
  Object.defineProperties(encoding, Object.getOwnPropertyDescriptors(own));
  const backlog = new Backlog(1 << 20, 0);
  const hold = new Hold(1 << 20, "", backlog);
  const printed = { bytes: 0, lines: 0 };
  return { output: new Output(encoding, hold, printed, asker), got, hold, backlog, printed };
}

describe("output", () => {
  test("waits until it is opened, and is counted when it comes", async () => {
    const { output, got, printed } = outputOf();
    const early = [output.stdout(bytes("a\nb")), output.stderr(bytes("c\n"))];
    expect(await isSettled(Promise.all(early))).toBe(false);
    expect([got, printed]).toEqual([[], { bytes: 5, lines: 0 }]);
    output.open();
    await Promise.all(early);
    expect([got, printed]).toEqual([["out a\nb", "err c\n"], { bytes: 5, lines: 2 }]);
    expect([output.stdout(bytes("d\n")), output.stderr(bytes("\n"))]).toEqual([
      undefined,
      undefined,
    ]);
    expect([got.slice(2), printed]).toEqual([["out d\n", "err \n"], { bytes: 8, lines: 4 }]);
  });

  test("waits as long as its encoding does", async () => {
    const gate = Promise.withResolvers<void>();
    const { output, printed } = outputOf({ stdout: () => gate.promise });
    output.open();
    const taken = output.stdout(bytes("a\n"));
    expect(await isSettled(taken)).toBe(false);
    expect(printed.lines).toBe(1);
    gate.resolve();
    await taken;
    expect(printed.lines).toBe(1);
  });

  test("has the lines that its encoding counts: once it has taken them, and at the end", async () => {
    const gate = Promise.withResolvers<void>();
    let lines = 0;
    const { output, printed } = outputOf({
      get lines() {
        return lines;
      },
      stdout: () => gate.promise.then(() => void (lines = 5)),
      stderr: () => void (lines = 3),
      end() {
        lines = 7;
        return {};
      },
    });
    output.open();
    void output.stderr(bytes("none"));
    expect(printed.lines).toBe(3);
    const taken = output.stdout(bytes("\n\n"));
    expect(printed.lines).toBe(3);
    gate.resolve();
    await taken;
    expect(printed.lines).toBe(5);
    await output.end();
    expect(printed).toEqual({ bytes: 6, lines: 7 });
  });

  test("ends with the fields of its encoding, and holds nothing any more; what comes then is dropped", async () => {
    const { output, got, hold, backlog, printed } = outputOf();
    hold.take(100);
    hold.lose(3);
    output.open();
    void output.stdout(bytes("x\n"));
    expect([output.loss, backlog.of("")]).toEqual([{ overflow: 3, replaced: 0 }, 100]);
    expect(await output.end()).toEqual({ fields: 1 });
    expect([hold.held, backlog.of(""), printed.lines]).toEqual([0, 0, 1]);
    expect(await output.end()).toEqual({});
    expect(output.stdout(bytes("late\n"))).toBeUndefined();
    expect([got, printed]).toEqual([["out x\n"], { bytes: 7, lines: 1 }]);
    expect([output.failure, output.told]).toEqual([undefined, false]);
  });
});

describe("an encoding that fails", () => {
  const broken = (error: unknown): Partial<Encoding>[] => [
    {
      stdout() {
        throw error;
      },
    },
    { stdout: () => Promise.reject(error) },
  ];

  test("gets nothing more; its task goes on, and says the first that went wrong", async () => {
    for (const own of broken(new Error("first"))) {
      const { output, got, printed } = outputOf({
        ...own,
        end() {
          throw new Error("second");
        },
      });
      output.open();
      await output.stdout(bytes("a\n"));
      await output.stdout(bytes("b\n"));
      await output.stderr(bytes("c\n"));
      expect([output.failure, output.told, got]).toEqual(["first", false, []]);
      expect(printed).toEqual({ bytes: 6, lines: 3 });
      expect(await output.end()).toEqual({});
      expect(output.failure).toBe("first");
    }
  });

  test.each<[unknown, string, boolean]>([
    [new OutputLost("gone"), "gone", true],
    [new RangeError("bug"), "bug", false],
    ["a text", "a text", false],
  ])("with %#", async (error, failure, told) => {
    for (const own of broken(error)) {
      const { output } = outputOf(own);
      output.open();
      await output.stdout(bytes("a"));
      expect([output.failure, output.told]).toEqual([failure, told]);
    }
    const { output, backlog, hold } = outputOf({ end: () => Promise.reject(error) });
    hold.take(10);
    expect(await output.end()).toEqual({});
    expect([output.failure, output.told, backlog.of("")]).toEqual([failure, told, 0]);
  });
});

describe("what becomes a reply", () => {
  const asker = { peer: "", connection: {} };
  const MOST = 4 << 20;
  const TRIFLE = 64 << 10;

  test("waits for its turn where it is large; events and what is small do not", async () => {
    const occupied = await rendering.enter({ peer: "other", connection: {} }, MOST);
    try {
      const made = { large: outputOf({}, asker), small: outputOf({}, asker), events: outputOf() };
      made.large.hold.take(TRIFLE + 1);
      made.small.hold.take(TRIFLE);
      made.events.hold.take(TRIFLE + 1);
      expect(await isSettled(made.small.output.end())).toBe(true);
      expect(await isSettled(made.events.output.end())).toBe(true);
      const ending = made.large.output.end();
      expect(await isSettled(ending)).toBe(false);
      expect(made.large.hold.held).toBe(TRIFLE + 1);
      occupied?.();
      expect(await ending).toEqual({ fields: 0 });
      expect(made.large.hold.held).toBe(0);
    } finally {
      occupied?.();
    }
  });

  test("has it until the turn of the event loop is over in which the reply is written", async () => {
    for (const end of [() => ({}), () => Promise.reject(new Error("no"))]) {
      const { output, hold } = outputOf({ end }, asker);
      hold.take(TRIFLE + 1);
      await output.end();
      const next = rendering.enter({ peer: "other", connection: {} }, MOST);
      expect(await isSettled(next)).toBe(false);
      await turn();
      expect(await isSettled(next)).toBe(true);
      (await next)?.();
    }
  });
});
