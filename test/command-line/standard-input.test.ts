/** What a command reads of the standard input of the command line, as that has it. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const MODULE = JSON.stringify(join(import.meta.dir, "../../src/command-line/standard-input.ts"));
const SCRIPT = `
const { StandardInput } = await import(${MODULE});
const text = (bytes) => bytes && Buffer.from(bytes).toString();
const said = [];
const dropped = new StandardInput();
dropped.drop();
said.push(await dropped.next());
const input = new StandardInput();
input.limit(5);
said.push(text(await input.next()));
console.log("first");
said.push(text(await input.next()));
const waiting = input.next();
input.drop();
said.push(await waiting, await input.next());
console.log(said.map(String).join());
process.exit();
`;

test("is read piece by piece, as much as it may be, and no more once it is given up", async () => {
  const child = Bun.spawn([process.execPath, "-e", SCRIPT], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.write("abc");
  void child.stdin.flush();
  let said = "";
  for await (const bytes of child.stdout) {
    said += Buffer.from(bytes).toString();
    if (said !== "first\n") continue;
    child.stdin.write("de");
    void child.stdin.flush();
  }
  expect(said).toBe("first\nundefined,abc,de,undefined,undefined\n");
  expect(await child.exited).toBe(0);
});
