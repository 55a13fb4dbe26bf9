/** What a config may say of a webhook, and what it means. */
import { expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { board } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const withHook = (webhook: unknown, more: object = {}) => ({
  acls: { user: "pilot" },
  commands: {
    ...{ uid: "c", privilege: "p", exec: { cmdpath: "/bin/sh", args: ["%body%"] }, webhook },
    ...more,
  },
});
const of = (webhook: unknown) => planOf(compiled(withHook(webhook), board)).webhook;

test("in one word, and in all of them", () => {
  expect(of("/s/hook")).toEqual({
    ...{ header: "x-hub-signature-256", prefix: "sha256=", file: "/s/hook" },
    signature: { encoding: "hex", algorithm: "sha256", signed: ["body"] },
  });
  expect(of({ file: "/s/hook", kind: "KEY" })).toEqual({
    ...{ header: "x-api-key", prefix: "", file: "/s/hook" },
  });
  expect(of({ file: "/s/hook", timestamp: "X-Time" })?.signature).toEqual({
    ...{ encoding: "hex", algorithm: "sha256", signed: ["timestamp", { text: "." }, "body"] },
    timestamp: { header: "x-time", tolerance: 300 },
  });
  const slack = {
    ...{ file: "/s/h", header: "X-Slack-Signature", prefix: "v0=", timestamp: "X-T" },
    ...{ tolerance: 60, signed: "v0:{timestamp}:{body}", argument: "body", algorithm: "sha512" },
  };
  expect(of(slack)).toEqual({
    ...{ header: "x-slack-signature", prefix: "v0=", file: "/s/h", argument: "body" },
    signature: {
      ...{ encoding: "hex", algorithm: "sha512" },
      signed: [{ text: "v0:" }, "timestamp", { text: ":" }, "body"],
      timestamp: { header: "x-t", tolerance: 60 },
    },
  });
});

test.each([
  [{ kind: "key" }, "file"],
  ["hook", "absolute path"],
  [{ file: "/s", header: "Authorization" }, "another meaning"],
  [{ file: "/s", header: "x-forwarded-for" }, "another meaning"],
  [{ file: "/s", header: "a b" }, "header"],
  [{ file: "/s", timestamp: "Date" }, "another meaning"],
  [{ file: "/s", timestamp: "T", signed: "{body}" }, "no {timestamp}"],
  [{ file: "/s", signed: "{timestamp}{body}" }, "say in `timestamp`"],
  [{ file: "/s", signed: "body" }, "no {body}"],
  [{ file: "/s", tolerance: 5 }, "goes with `timestamp`"],
  [{ file: "/s", kind: "key", encoding: "hex" }, "goes with a signature"],
  [{ file: "/s", kind: "key", timestamp: "T" }, "goes with a signature"],
  [{ file: "/s", kind: "key", signed: "{body}" }, "signed: goes with a signature"],
  [{ file: "/s", kind: "key", algorithm: "sha512" }, "algorithm: goes with a signature"],
  [{ file: "/s", kind: "key", tolerance: 5 }, "tolerance: goes with a signature"],
  [{ file: "/s", argument: "other" }, "no %other%"],
  [{ file: "/s", algorithm: "md5" }, "sha256"],
  [{ file: "/s", timestamp: "T", tolerance: 0 }, "tolerance"],
])("%j is refused", (webhook, message) => {
  expect(refused(withHook(webhook), board).join("\n")).toContain(message);
});

test("a command that needs no privilege has a notice, and explain says who may start it", () => {
  const open = compiled(withHook("/s/hook", { privilege: undefined }), board);
  expect(open.notices.map(({ message }) => message).join()).toContain("everybody may call");
  const guarded = compiled(withHook({ file: "/s/hook", timestamp: "T" }), board);
  expect(guarded.notices.map(({ message }) => message).join()).not.toContain("everybody may call");
  expect(explain(planOf(guarded)).join("\n")).toContain(
    "a POST with a signature in x-hub-signature-256, made with what is in /s/hook starts it without a privilege, once within 300 s of t",
  );
});
