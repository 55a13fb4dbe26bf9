/**
 * Fuzzes one target: `bun worker.ts NAME SEED FIRST SECONDS PROGRESS`. PROGRESS is a file of 8 bytes in which the number of the
 * input under way stands, also when this process hangs or crashes. Exit code 1 after a bug, which is then in dist/fuzz.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomOf } from "./random.ts";
import { shrink } from "./shrink.ts";
import type { Json } from "./target.ts";
import { targets } from "./targets.ts";

const SHRINK_MS = 20_000;
const [name, seedText, firstText, secondsText, progressFile = ""] = process.argv.slice(2);
const target = targets.find((one) => one.name === name);
if (!target) throw new Error(`no target ${name}`);
const seed = Number(seedText);
const progress = new DataView(Bun.mmap(progressFile).buffer);

async function failureOf(input: Json): Promise<string | undefined> {
  try {
    await target?.check(input);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

const end = performance.now() + Number(secondsText) * 1000;
let index = Number(firstText);
for (; performance.now() < end; index++) {
  progress.setBigUint64(0, BigInt(index), true);
  const input = target.make(randomOf(seed, target.name, index));
  const failure = await failureOf(input);
  if (failure === undefined) continue;
  const fails = async (one: Json): Promise<boolean> => (await failureOf(one)) !== undefined;
  const small = await shrink(input, fails, performance.now() + SHRINK_MS);
  const dir = join(import.meta.dir, "../../dist/fuzz");
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${target.name}-${seed}-${index}.json`);
  writeFileSync(file, `${JSON.stringify(small)}\n`);
  console.error(
    `${target.name}: input ${index} of seed ${seed} shows a bug:\n${(await failureOf(small)) ?? failure}\n` +
      `made smaller in ${file}; fixed, it belongs into test/fuzz/seeds/${target.name}`,
  );
  process.exit(1);
}
progress.setBigUint64(0, BigInt(index), true);
