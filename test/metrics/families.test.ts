/** What a server tells of itself: each number by its name, and nothing of what there is not. */
import { describe, expect, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import { Counts } from "../../src/metrics/counts.ts";
import { familiesOf, type Sources } from "../../src/metrics/families.ts";
import { startTime } from "../../src/metrics/start.ts";
import { metricsVerb } from "../../src/metrics/verb.ts";
import { apiOf, shell } from "../api/harness.ts";
import { withoutDescriptors } from "../descriptors.ts";

const pooled = { pool: { size: 1, ops: new Uint8Array(0) } };
function counted(): Counts {
  const counts = new Counts();
  counts.serve([apiOf([shell("v", "")])]);
  const run = (mode: "cold" | "pool") => {
    const record = { mode, printed: { bytes: 5, lines: 1, events: 2 } } as TaskRecord;
    counts.mayStart(record, shell("v", "", pooled));
    counts.started(record);
    return record;
  };
  counts.ended(Object.assign(run("cold"), { status: { exit: 3 } }) as TaskRecord);
  run("pool");
  run("pool");
  counts.refused({ status: "busy" } as never);
  return counts;
}

const sources = (more: Partial<Sources> = {}): Sources => ({
  ...{ version: "1.2.3", counts: counted(), load: () => ({ waiting: 4, most: 9 }) },
  ...{ ready: () => 6, clients: () => ({ open: 7, webSockets: 3, paused: 2 }) },
  ...{ reloads: () => ({ done: 11, failed: 12, isGood: true }) },
  ...{ audit: () => undefined, history: () => undefined },
  ...more,
});

/** By name, with labels; those of the process itself apart. */
function told(more: Partial<Sources> = {}): Record<string, unknown> {
  return Object.fromEntries(
    familiesOf(sources(more))
      .filter(({ name }) => name.startsWith("spawnbox_"))
      .flatMap(({ name, samples }) =>
        samples.map(({ labels, value }) => [
          [name.slice("spawnbox_".length), ...Object.values(labels ?? {})].join(" "),
          value,
        ]),
      ),
  );
}

test("each number is told by its name", () => {
  expect(told()).toMatchObject({
    ...{ "launches p sb cold": 1, "launches p sb warm": 2 },
    ...{ "pool_hits p sb": 2, "pool_misses p sb": 1, pool_ready: 6 },
    "launch_seconds cold": { counts: expect.any(Array) },
    "launch_seconds warm": { counts: expect.any(Array) },
    ...{ tasks_running: 2, tasks_queued: 4, tasks_limit: 9 },
    ...{ "tasks_ended success": 0, "tasks_ended failure": 1, "tasks_ended oom": 0 },
    ...{ "calls_refused busy": 1, events: 6, output_bytes: 15 },
    ...{ connections: 7, websockets: 3, clients_paused: 2 },
    ...{ "build 1.2.3": 1, "reloads success": 11, "reloads failure": 12, reload_successful: 1 },
  });
});

describe("what there is only at times", () => {
  const audit = (why?: string) => () => ({ written: 5, lost: 6, ...(why && { why }) });
  test("is not told where it is not there", () => {
    const names = Object.keys(told());
    expect(names.filter((name) => /^(audit|history)/.test(name))).toEqual([]);
  });
  test("an audit, and whether it can be written", () => {
    expect(told({ audit: audit() })).toMatchObject({
      ...{ audit_lines: 5, audit_lost_lines: 6, audit_writable: 1 },
    });
    expect(told({ audit: audit("ENOSPC") })).toMatchObject({ audit_writable: 0 });
  });
  test("a history", () => {
    expect(told({ history: () => 0 })).toMatchObject({ history_lost_tasks: 0 });
  });
  test("a reload that failed", () => {
    const reloads = () => ({ done: 1, failed: 1, isGood: false });
    expect(told({ reloads })).toMatchObject({ reload_successful: 0 });
  });
});

test("of the process: its time, memory, start and descriptors", () => {
  const seconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const before = seconds();
  const own = Object.fromEntries(
    familiesOf(sources())
      .filter(({ name }) => name.startsWith("process_"))
      .map(({ name, samples }) => [name, samples[0]?.value as number]),
  );
  expect(own["process_cpu_seconds"]).toBeWithin(before, seconds() + 0.001);
  expect(own["process_resident_memory_bytes"]).toBeWithin(10e6, 10e9);
  expect(own["process_start_time_seconds"]).toBeWithin(1.7e9, Date.now() / 1000);
  expect(own["process_open_fds"]).toBeWithin(3, 10_000);
});

test("out of descriptors, what is read without one is told all the same", async () => {
  const all = await withoutDescriptors(() => familiesOf(sources()));
  const of = (name: string) => all.find((family) => family.name === name)?.samples;
  expect(of("spawnbox_build")).toHaveLength(1);
  expect(of("process_cpu_seconds")).toHaveLength(1);
  expect(of("process_resident_memory_bytes")).toEqual([]);
});

describe("the verb", () => {
  let privileges = ["urn:a"];
  const verb = metricsVerb(() => privileges, sources());
  const call = async (args: unknown) =>
    verb.call({ api: "monitor", verb: "metrics", args, session: { uuid: "s" } });

  test("answers by the format that is asked for", async () => {
    for (const args of [undefined, null, {}, { format: "prometheus" }])
      expect(await call(args)).not.toContain("# EOF");
    expect(await call({ format: "openmetrics" })).toEndWith("# EOF\n");
  });

  test.each([[{ format: "xml" }], [{ format: "prometheus", more: 1 }], ["prometheus"], [5], [[1]]])(
    "refuses %j",
    (args) => {
      expect(call(args)).rejects.toThrow(
        'expects {"format": "openmetrics" or "prometheus"}, or nothing',
      );
    },
  );

  test("says of itself what it takes: a format, for who wants one", () => {
    expect(verb.describe?.()).toEqual({
      info: expect.stringMatching(/GET \/metrics$/),
      parameters: [
        {
          name: "format",
          required: false,
          schema: { type: "string", enum: ["openmetrics", "prometheus"] },
        },
      ],
    });
  });

  test("needs what the access says at the time", () => {
    expect([verb.privileges, verb.isUntried]).toEqual([["urn:a"], true]);
    privileges = ["urn:b"];
    expect(verb.privileges).toEqual(["urn:b"]);
  });
});

describe("when it was started", () => {
  test("is about when this process was", () => {
    expect(Math.abs(startTime() - performance.timeOrigin / 1000)).toBeLessThan(5);
    expect(startTime()).toBe(startTime());
  });

  test("is told by the clock as it is now, which the network may have set since", () => {
    const own = `7 (a ) name (b)) S ${Array.from({ length: 18 }, (_, i) => i).join(" ")} 4250 9 9`;
    const at = (booted: number) =>
      startTime((path) => (path === "/proc/stat" ? `cpu 1 2\nbtime ${booted}\nctxt 5\n` : own));
    expect([at(12), at(1_800_000_000)]).toEqual([54.5, 1_800_000_042.5]);
  });

  test("is by the clock of the start where /proc does not say", () => {
    const missing = () => {
      throw Object.assign(new Error("none"), { code: "ENOENT" });
    };
    expect(startTime(missing)).toBe(performance.timeOrigin / 1000);
  });
});
