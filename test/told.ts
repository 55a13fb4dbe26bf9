/** `bun test/told.ts FILE`: what failed in the output of test runs that the file holds, and why. */
import { told } from "./failures.ts";

console.log(told(await Bun.file(process.argv[2] ?? "").text()));
