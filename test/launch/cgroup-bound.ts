/** A server where a group above bounds how many there may be: prints what it says of each sandbox, and how a launch goes in the first. */
import { ConfigError } from "../../src/config/problem.ts";
import { openCgroups } from "../../src/launch/cgroup.ts";
import { LaunchError } from "../../src/launch/task.ts";

const policy = (optional: boolean) => ({
  ...{ path: "cgroups", mount: undefined, optional, shared: [], task: [] },
});
const open = (optional: boolean) =>
  openCgroups([
    { key: "plain", file: "", policy: undefined },
    { key: "limited", file: "", policy: policy(optional) },
  ]);
const root = await open(true);
const begun: string[] = [];
try {
  for (let i = 0; i < 3; i++) begun.push(root.begin("plain") ? "group" : "none");
} catch (error) {
  if (!(error instanceof LaunchError)) throw error;
  begun.push(error.message);
}
await root.close();
const strict = await open(false).then(
  async (opened) => {
    await opened.close();
    return [];
  },
  (error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ message }) => message);
  },
);
console.log(JSON.stringify({ notices: root.notices.map(({ message }) => message), begun, strict }));
