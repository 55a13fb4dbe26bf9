/** When memory is collected beside the work, when all of it at once, and when not at all. */
import { expect, test } from "bun:test";
import { keepSmall, Thrift } from "../../src/service/thrift.ts";
import { heavy } from "../../src/turnstile.ts";

const MIB = 1 << 20;

/** A server by its MiB over time: what is done at each look, and what a collection of all leaves, which takes so many ms. */
function thrift(takes = 0) {
  let [time, size, left]: [number, number | undefined, number] = [0, 0, 0];
  const done: string[] = [];
  const one = new Thrift({
    now: () => time,
    rss: () => (size === undefined ? undefined : size * MIB),
    collect: (how) => {
      done.push(how);
      if (how !== "all") return;
      size = left;
      time += takes;
    },
  });
  return {
    next: () => one.next,
    /** At that time, ms, with so many MiB, of which so many are in use. */
    at(ms: number, mib: number | undefined, used = 0): string {
      [time, size, left] = [ms, mib, used];
      one.look();
      return done.splice(0).join() || "nothing";
    },
  };
}

test("nobody minds what is small, or what cannot be told", () => {
  const { at } = thrift();
  expect([at(0, 111.9), at(100, undefined), at(200, 112)]).toEqual([
    "nothing",
    "nothing",
    "beside",
  ]);
});

test("the next look is soon only where it is not small", () => {
  const { at, next } = thrift();
  expect(next()).toBe(100);
  for (const [i, [mib, then]] of (
    [
      [112, 30],
      [111.9, 100],
      [200, 30],
      [undefined, 100],
    ] as const
  ).entries()) {
    at(100 * i, mib, mib);
    expect(next()).toBe(then);
  }
});

test("looks come no closer than half of their distance", () => {
  const { at } = thrift();
  expect([at(0, 120), at(14, 143), at(15, 143)]).toEqual(["beside", "nothing", "beside"]);
});

test("growth is collected beside the work, each time that it is worth it", () => {
  const { at } = thrift();
  expect([at(0, 112), at(100, 127.9), at(200, 128), at(300, 130)]).toEqual([
    "beside",
    "nothing",
    "beside",
    "nothing",
  ]);
  // What has become less counts from there.
  expect([at(400, 113), at(500, 128), at(600, 129)]).toEqual(["nothing", "nothing", "beside"]);
});

test("what is large is given back at once, if that is worth it, and not too often", () => {
  const { at } = thrift();
  expect(at(0, 143.9, 100)).toBe("beside");
  expect(at(100, 160, 130)).toBe("all");
  // 16 MiB more than is in use, then 32.
  expect([at(1100, 150, 130), at(1200, 153, 130)]).toEqual(["beside", "nothing"]);
  expect([at(1250, 166, 130), at(2250, 146, 130), at(2300, 153.9, 130)]).toEqual([
    ...["all", "beside", "nothing"],
  ]);
  expect(at(2350, 162, 130)).toBe("all");
  expect([at(3349, 170, 130), at(3400, 186, 140)]).toEqual(["beside", "all"]);
});

test("what is huge or too much need not wait as long", () => {
  const start = () => {
    const { at } = thrift();
    expect(at(0, 170, 130)).toBe("all");
    return at;
  };
  expect([start()(149, 176, 130), start()(150, 176, 130)]).toEqual(["beside", "all"]);
  expect([start()(999, 175.9, 130), start()(1000, 175.9, 130)]).toEqual(["beside", "all"]);
  expect([start()(49, 192, 130), start()(50, 192, 130)]).toEqual(["beside", "all"]);
  expect([start()(149, 191.9, 130)]).toEqual(["beside"]);
  // Half of the growth is worth it then.
  const grown = thrift().at;
  expect(grown(0, 200, 184)).toBe("all");
  expect([grown(100, 191.9, 184), grown(200, 192, 184)]).toEqual(["nothing", "all"]);
  // Huge is worth it, however much is in use.
  const at = thrift().at;
  expect([at(0, 170, 160), at(300, 175.9, 160), at(400, 176, 160)]).toEqual([
    ...["all", "nothing", "all"],
  ]);
});

test("where a collection takes long, there is as much between two", () => {
  for (const [later, done] of [
    [199, "beside"],
    [200, "all"],
  ] as const) {
    const { at } = thrift(200);
    expect(at(0, 170, 130)).toBe("all");
    expect(at(200 + later, 239.9, 130)).toBe(done);
  }
});

test("near what is promised there is half as much between two, if much has come", () => {
  for (const [later, mib, done] of [
    [99, 240, "beside"],
    [100, 240, "all"],
    [199, 239.9, "beside"],
    [200, 239.9, "all"],
  ] as const) {
    const { at } = thrift(200);
    expect(at(0, 220, 216)).toBe("all");
    expect(at(200 + later, mib, 216)).toBe(done);
  }
  // 24 MiB more than the least since then.
  const { at } = thrift(200);
  expect(at(0, 230, 216.1)).toBe("all");
  expect(at(300, 240, 216)).toBe("beside");
  expect(at(340, 263.9, 216)).toBe("beside");
  const other = thrift(200).at;
  expect(other(0, 230, 216.1)).toBe("all");
  expect(other(300, 240.1, 216)).toBe("all");
});

test("after some quiet it is given back in any case, once", () => {
  for (const [quiet, done] of [
    [5000, "nothing"],
    [5001, "all"],
  ] as const) {
    const { at } = thrift();
    expect(at(0, 120)).toBe("beside");
    expect(at(quiet, 121, 115)).toBe(done);
    if (done === "all") expect(at(20_000, 121, 115)).toBe("nothing");
  }
});

test("what stays large is tried again, and ever less often while that is for nothing", () => {
  const pauses = [20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000];
  /** After so many of these, and one more. */
  const after = (count: number) => {
    const { at } = thrift();
    expect(at(0, 150, 150)).toBe("all");
    let time = 0;
    for (const pause of pauses.slice(0, count))
      expect(at((time += pause + 1), 150, 150)).toBe("all");
    return { at, time };
  };
  pauses.forEach((pause, i) => {
    const { at, time } = after(i);
    expect(at(time + pause, 150, 150)).toBe("nothing");
  });
  // It was worth it: soon again.
  const { at, time } = after(pauses.length);
  const next = time + 600_001;
  expect([at(next, 165, 149), at(next + 10_000, 150, 149)]).toEqual(["all", "nothing"]);
  expect(at(next + 10_100, 150, 149)).toBe("all");
});

test("a server looks behind heavy work as well, until it ends", () => {
  const before = heavy.after;
  const end = keepSmall();
  try {
    expect(heavy.after).toBeFunction();
    heavy.after?.();
  } finally {
    end();
  }
  expect(heavy.after).toBeUndefined();
  heavy.after = before;
});
