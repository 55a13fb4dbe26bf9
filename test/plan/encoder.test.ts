/** What who knows encoders says of one: a problem is none that is only told, and the other way round. */
import { expect, test } from "bun:test";
import { ConfigError } from "../../src/config/problem.ts";
import { normalize } from "../../src/config/normalize.ts";
import { compile } from "../../src/plan/compile.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { asUser } from "./compiling.ts";

test("problems of an encoder refuse its config, and notices do not", () => {
  const commands = { uid: "c", encoder: { output: "line" }, exec: { cmdpath: "/bin/sh" } };
  const raw = { metadata: { uid: "t", api: "t" }, sandboxes: { uid: "s", commands } };
  const { config } = normalize(raw, "t.json");
  if (!config) throw new Error("it is none");
  const at = "sandboxes[0].commands[0].encoder";
  const machine = { ...thisMachine(), ...asUser };
  const made = (problems: string[], notices: string[]) =>
    compile([{ file: "t.json", config }], {
      ...{ machine, checkEncoder: () => ({ problems, notices, opts: {} }) },
    });
  const said = (path: string, message: string) => ({ path, message });
  expect(made([], ["mind"])[0]?.notices).toContainEqual(said(at, "mind"));
  let refused: unknown;
  try {
    made(["bad", "worse"], []);
  } catch (error) {
    refused = error;
  }
  if (!(refused instanceof ConfigError)) throw new Error("it was accepted");
  expect(refused.problems).toEqual(
    ["bad", "worse"].map((message) => ({ file: "t.json", ...said(at, message) })),
  );
});
