/** All mistakes that the rules make in the files of a room. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mistakesInC } from "./c.ts";
import type { Mistake } from "./mistake.ts";
import type { Room } from "./rooms.ts";
import { mistakesInTypeScript } from "./typescript.ts";

/** `root`: of the project; `only`: of files whose path has that in it. */
export function mistakesOf(room: Room, root: string, only = ""): Mistake[] {
  const files = room.code.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: root })]);
  return files
    .filter((file) => file.includes(only) && !file.endsWith(".d.ts"))
    .toSorted()
    .flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8");
      return file.endsWith(".c") ? mistakesInC(file, text) : mistakesInTypeScript(file, text);
    });
}
