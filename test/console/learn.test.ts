/** The exercises of config/learn.json: they run as root and as an ordinary user, teach something, and do no harm. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { EXPLAINED } from "../../src/console/explained-words.ts";
import { patternOf } from "../../src/console/pattern.ts";
import { LESSONS } from "../../src/console/lessons.ts";
import { type Ran, serve, users } from "../served.ts";

interface Told {
  readonly steps: readonly string[];
  readonly exposure: { readonly findings: readonly { readonly what: string }[] };
  readonly improvements: readonly { readonly what: string }[];
}

interface Group {
  readonly uid: string;
  readonly exec?: true;
  readonly verbs: readonly { uid: string; verb: string; info?: string; unavailable?: string }[];
}

const config: unknown = await Bun.file(join(import.meta.dir, "../../config/learn.json")).json();

test("what it says is there in German and French", () => {
  const said = [...JSON.stringify(config).matchAll(/"info":("[^"]*")/g)].map(
    ([, text = ""]) => JSON.parse(text) as string,
  );
  expect(said.length).toBeGreaterThan(15);
  expect(Object.keys(LESSONS).toSorted()).toEqual([...new Set(said)].toSorted());
  for (const [english, others] of Object.entries(LESSONS)) {
    expect([english, others.includes(english)]).toEqual([english, false]);
    // The page tells the question from the answer.
    if (english.includes("? "))
      for (const text of others) expect(text).toMatch(/^.{3,59}\? [^?]{40,}\.$/);
  }
});

test("what is explained has as many places for names in each language", () => {
  const places = (text: string): number => text.split("{}").length;
  for (const [english, ...others] of EXPLAINED)
    expect([english, ...others.map(places)]).toEqual([
      english,
      ...others.map(() => places(english)),
    ]);
});

for (const user of users)
  describe(`as ${user}`, () => {
    test("each exercise runs in three or four sandboxes, and what differs is to be seen", async () => {
      await using served = await serve(config, { user });
      const info = (await served.call("learn/info")).response as { groups: Group[] };
      const [bare, ...others] = info.groups;
      expect(bare?.verbs.length).toBeGreaterThanOrEqual(12);
      // What is not confined takes no line of the visitor's.
      expect(info.groups.filter(({ exec }) => exec).map(({ uid }) => uid)).toEqual([
        "box",
        "tight",
      ]);
      for (const { uid, verb, info: lesson = "" } of bare?.verbs ?? []) {
        expect([uid, lesson]).toEqual([uid, expect.stringMatching(/^[^?]{5,60}\? .{40,}[.]$/)]);
        const same = others.flatMap(({ verbs }) => verbs.filter((one) => one.uid === uid));
        expect([uid, same.length >= 2]).toEqual([uid, true]);
        const seen = new Set<string>();
        for (const one of [{ verb, unavailable: undefined }, ...same]) {
          if (one.unavailable !== undefined) continue;
          const { stdout, stderr, status }: Ran & { status: { denied?: object } } =
            await served.run(`learn/${one.verb}`);
          expect([one.verb, status.exit !== undefined]).toEqual([one.verb, true]);
          seen.add(JSON.stringify([stdout, stderr, status.denied]));
        }
        const available = same.filter(({ unavailable }) => unavailable === undefined).length;
        if (available > 1) expect([uid, seen.size > 1]).toEqual([uid, true]);
      }
    }, 90_000);

    test("what is explained of them is there in German and French", async () => {
      await using served = await serve(config, { user });
      const { response } = await served.call("monitor/explain");
      const told = (response as Told[]).flatMap(({ steps, exposure, improvements }) => [
        ...steps,
        ...[...exposure.findings, ...improvements].map(({ what }) => what),
      ]);
      expect(told.length).toBeGreaterThan(50);
      const known = EXPLAINED.map(([english]) => patternOf(english));
      expect(told.filter((text) => !known.some((one) => one.test(text)))).toEqual([]);
    });
  });
