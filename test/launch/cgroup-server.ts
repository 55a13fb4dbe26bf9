/** A server of which nothing is left but its groups: prints the group and a process in it, then waits to be killed. */
import { openCgroups } from "../../src/launch/cgroup.ts";
import { inGroup } from "./cgroup-cases.ts";

const root = await openCgroups([{ key: "box", file: "", policy: undefined }]);
const group = root.begin("box");
if (!group) throw new Error("no group");
const child = inGroup(group.path, "exec sleep 1000");
while (!(await Bun.file(`${group.path}/cgroup.procs`).text())) await Bun.sleep(1);
console.log(JSON.stringify({ server: root.path, pid: child.pid }));
await child.exited;
console.log("child ended");
