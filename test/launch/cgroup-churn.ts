/** Servers that start and end at once, one after the other: makes and removes its groups so many times. */
import { openCgroups } from "../../src/launch/cgroup.ts";

for (let round = 0; round < Number(process.argv[2]); round++) {
  const root = await openCgroups([{ key: "box", file: "", policy: undefined }]);
  if (root.path === undefined) throw new Error(JSON.stringify(root.notices));
  await root.begin("box")?.end().gone;
  await root.close();
}
