import { expect, test } from "bun:test";
import { wireStatus } from "../../src/api/status.ts";
import type { Outcome } from "../../src/launch/task.ts";

const usage = { wall: 12, user: 3, system: 4, maxrss: 5 };
const tail = '"usage":{"wall":12,"user":3,"system":4,"maxrss":5}}';

const table: [Omit<Outcome, "usage">, string][] = [
  [{ exit: 0 }, '{"exit":0,'],
  [{ exit: 255 }, '{"exit":255,'],
  [{ signal: 9 }, '{"signal":"Killed",'],
  [{ signal: 11 }, '{"signal":"Segmentation fault",'],
  [{ signal: 9, cause: "timeout" }, '{"signal":"Killed","info":"timeout","cause":"timeout",'],
  [{ signal: 15, cause: "stopped" }, '{"signal":"Terminated","cause":"stopped",'],
  [{ exit: 3, cause: "stopped" }, '{"exit":3,"cause":"stopped",'],
];
test("what is told of system calls comes after all else", () => {
  const outcome = { signal: 31, cause: "seccomp", syscall: "mount", denied: { mount: 1, acct: 2 } };
  const whole = wireStatus({ ...outcome, logged: { read: 7 }, usage } as Outcome);
  expect(JSON.stringify(whole)).toBe(
    `{"signal":"Bad system call","cause":"seccomp",${tail.slice(0, -1)},"syscall":"mount","denied":{"mount":1,"acct":2},"logged":{"read":7}}`,
  );
});
test.each(table)("%j", (outcome, head) => {
  expect(JSON.stringify(wireStatus({ ...outcome, usage }))).toBe(head + tail);
});
