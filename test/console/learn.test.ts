/** The exercises of config/learn.json: they run as root and as an ordinary user, teach something, and do no harm. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Ran, serve, users } from "../served.ts";
import { isTried } from "../thinned.ts";

interface Group {
  readonly uid: string;
  readonly exec?: true;
  readonly verbs: readonly { uid: string; verb: string; info?: string; unavailable?: string }[];
}

const config: unknown = await Bun.file(join(import.meta.dir, "../../config/learn.json")).json();

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
      for (const [row, { uid, verb, info: lesson = "" }] of (bare?.verbs ?? []).entries()) {
        expect([uid, lesson]).toEqual([uid, expect.stringMatching(/^[^?]{5,60}\? .{40,}[.]$/)]);
        const same = others.flatMap(({ verbs }) => verbs.filter((one) => one.uid === uid));
        expect([uid, same.length >= 2]).toEqual([uid, true]);
        if (!isTried(row, user, users)) continue;
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
  });
