/** What the launcher tells, byte by byte, however it is cut. */
import { describe, expect, test } from "bun:test";
import { OP, RECORD, RECORD_AT, RECORD_SIZE, TOLD_NUMBERS } from "../../ffi/launcher/layout.ts";
import { NO_AGENT } from "../../src/launch/no-agent.ts";
import { decode, supervisorOf } from "../../src/launch/records.ts";
import { Records } from "../../src/launch/status.ts";
import { LaunchError } from "../../src/launch/task.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { asUser, compiled, planOf } from "../plan/compiling.ts";

type Field = Exclude<keyof typeof RECORD_AT, "what" | "user" | "system">;
function record(
  fields: Partial<Record<Field, number>>,
  what = "",
  times: [user: bigint, system: bigint] = [0n, 0n],
): Buffer {
  const bytes = Buffer.alloc(RECORD_SIZE);
  for (const [name, value] of Object.entries(fields))
    bytes.writeUInt32LE(value, RECORD_AT[name as Field]);
  bytes.writeBigUInt64LE(times[0], RECORD_AT.user);
  bytes.writeBigUInt64LE(times[1], RECORD_AT.system);
  bytes.write(what, RECORD_AT.what, "utf8");
  return bytes;
}
const read = (...records: Uint8Array[]) => records.map((one) => decode(one));
const failed = (op: number, error: number, what = "") => {
  const [one] = read(record({ kind: RECORD.FAILED, op, error }, what));
  if (one?.kind !== "failed") throw new Error("it did not fail");
  return one.error;
};

describe("records", () => {
  test("of the start and the end", () => {
    const ended = { kind: RECORD.ENDED, status: 0x0300, maxrss: 4321 };
    expect(
      read(record({ kind: RECORD.STARTED, pid: 42 }), record(ended, "", [1500n, 2500n])),
    ).toEqual([
      { kind: "started", pid: 42 },
      { kind: "ended", status: 0x0300, maxrss: 4321, user: 1.5, system: 2.5 },
    ]);
  });
  test("of a group that was used to kill", () => {
    expect(read(record({ kind: RECORD.ENDED }, "\x01"))[0]).toHaveProperty("groupSpent", true);
    expect(read(record({ kind: RECORD.ENDED }))[0]).not.toHaveProperty("groupSpent");
  });
  test.each([
    [1, { number: 165 }],
    [2, { foreign: 165 }],
  ])("of a call that ended it: %d", (error, fatal) => {
    expect(read(record({ kind: RECORD.ENDED, error, op: 165, status: 31 }))[0]).toMatchObject({
      kind: "ended",
      fatal,
    });
    expect(read(record({ kind: RECORD.ENDED, op: 165 }))[0]).not.toHaveProperty("fatal");
  });
  test.each([
    [RECORD.DENIED, "denied"],
    [RECORD.LOGGED, "logged"],
  ])("of calls: %d", (kind, how) => {
    const bytes = record({ kind, op: 3 });
    [165, 2, TOLD_NUMBERS - 1, 1, TOLD_NUMBERS, 7].forEach((word, i) =>
      bytes.writeUInt32LE(word, RECORD_AT.what + i * 4),
    );
    expect(read(bytes)).toEqual([
      {
        kind: "told",
        how,
        counts: [
          [{ number: 165 }, 2],
          [{ number: TOLD_NUMBERS - 1 }, 1],
          [{ foreign: "other" }, 7],
        ],
      },
    ] as never);
  });
  test("however they are cut", () => {
    const bytes = Buffer.concat([
      record({ kind: RECORD.STARTED, pid: 1 }),
      record({ kind: RECORD.STARTED, pid: 2 }),
    ]);
    for (const size of [1, 100, RECORD_SIZE - 1, RECORD_SIZE, RECORD_SIZE + 1]) {
      const reader = new Records();
      const found = [];
      for (let at = 0; at < bytes.length; at += size)
        for (const one of reader.push(bytes.subarray(at, at + size))) found.push(decode(one));
      expect(found).toEqual([1, 2].map((pid) => ({ kind: "started", pid })));
    }
  });
  test("say who supervises", () => {
    expect(supervisorOf(record({ kind: RECORD.SUPERVISES, supervisor: 0x01_02_03_04 }))).toBe(
      0x01_02_03_04,
    );
  });
  test("of no kind that there is", () => {
    expect(() => read(record({ kind: 9 }))).toThrow("the launcher sent a record of kind 9");
  });
});

describe("a failure", () => {
  test("names the step, what it was about and the errno, and says that nothing was run", () => {
    const error = failed(OP.BIND, 2, "/no/such");
    expect(error).toBeInstanceOf(LaunchError);
    expect(error.message).toStartWith("bind /no/such: ENOENT: ");
    expect(error.message).toEndWith(
      ". the sandbox cannot be set up as configured, so nothing was run",
    );
    expect(failed(OP.UID_MAP, 1, "/uid_map").message).toStartWith("uid map /uid_map: EPERM: ");
    expect(failed(OP.CAPS, 1).errno).toBe("EPERM");
  });
  test("of the exec is the program's", () => {
    expect(failed(OP.EXEC, 2, "/no/such").message).toStartWith("exec /no/such: ENOENT: ");
    expect(failed(OP.EXEC, 2, "/no/such").message).not.toContain("cannot be set up");
  });
  test("of the process over the command is the server's, as is what it does outside the sandbox", () => {
    const spawn = failed(OP.SPAWN, 11, "launcher");
    expect([spawn.step, spawn.what, spawn.errno]).toEqual(["spawn", "launcher", "EAGAIN"]);
    expect(spawn.message).toContain("LimitNPROC=");
    expect(spawn.message).not.toContain("cannot be set up");
    expect(failed(OP.SPAWN, 1)).toBe(NO_AGENT);
    // The agent is as it was: it is a supervisor that was denied something.
    const denied = { kind: RECORD.FAILED, op: OP.SPAWN, error: 1, supervisor: 7 };
    const [own] = read(record(denied, "/dev/null"));
    expect(own?.kind === "failed" && own.error.message).toStartWith(
      "spawn /dev/null: EPERM: that has to be the null device",
    );
    const output = (plan?: Plan) => {
      const one = decode(record({ kind: RECORD.FAILED, op: OP.OUTPUT, error: 1 }), plan);
      if (one.kind !== "failed") throw new Error("it did not fail");
      return one.error.message;
    };
    expect(output()).toStartWith("spawn: EPERM: ");
    // Whatever the sandbox has.
    expect(output(planOf(compiled({ acls: { user: "nobody" } }, asUser)))).toBe(output());
  });
  test("of a step that nobody knows is that of the plan", () => {
    expect(failed(79, 38).message).toStartWith("plan read");
  });
  test("without an errno was a death", () => {
    expect(failed(OP.CLONE, 0).message).toStartWith(
      "launcher: killed before it could execute the command: ",
    );
  });
  test("as long as the record, and no longer", () => {
    const long = "x".repeat(RECORD_SIZE - RECORD_AT.what);
    expect(failed(OP.BIND, 2, long).message).toContain(`${long}: ENOENT`);
    expect(failed(OP.BIND, 2, long.slice(1)).message).toContain(`bind ${long.slice(1)}: ENOENT`);
  });
});
