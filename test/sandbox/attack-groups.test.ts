/** Groups and capabilities of the server are no command's that was not given them: looked at from inside, cold and warm. */
import { describe, expect, test } from "bun:test";
import { isRoot, shell } from "../served.ts";
import { serving } from "../serving.ts";
import { full, serveSandboxes } from "./attack.ts";

const GIVEN = [4, 60];
const acls = { user: "daemon", chdir: "/" };
const commands = [shell, { ...shell, uid: "warm", pool: 1 }];
const none = [
  { uid: "minimal", profile: "minimal", acls: { user: "daemon" }, commands },
  { uid: "plain", acls, commands },
  { uid: "full", acls, namespace: full, commands },
];
const given = [
  { uid: "plain-given", acls: { ...acls, groups: GIVEN }, commands },
  { uid: "full-given", acls: { ...acls, groups: GIVEN }, namespace: full, commands },
];
const config = [...none, ...given];
const verbs = (sandboxes: readonly { uid: string }[]) =>
  sandboxes.flatMap(({ uid }) => [`${uid}/sh`, `${uid}/warm`]);
/** No user of the tests; what it is in does not matter, since setpriv(1) says it. */
const as = (...how: string[]) => ["setpriv", "--reuid=65533", "--regid=65533", ...how];
const GROUPS = "--groups=27,60,5000";

const servers: [name: string, through: string[]][] = [
  ["root with groups of its own", ["setpriv", GROUPS]],
  [
    "an ordinary user who may set groups",
    as(GROUPS, "--inh-caps=+setgid,+net_raw", "--ambient-caps=+setgid,+net_raw"),
  ],
];

describe.if(isRoot).each(servers)("served by %s", (_, through) => {
  const served = serving(() => serveSandboxes(config, { user: "root", through }));
  const status = async (verb: string) => {
    const { stdout = [] } = await served.run(`a/${verb}`, { script: "cat /proc/self/status" });
    const field = (name: string) =>
      stdout
        .find((line) => line.startsWith(`${name}:`))
        ?.split("\t")[1]
        ?.trim();
    return { groups: field("Groups"), caps: ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(field) };
  };

  test.each(verbs(none))(
    "[identity] no group and capability of the server comes along: %s",
    async (verb) => {
      expect(await status(verb)).toEqual({ groups: "", caps: Array(4).fill("0".repeat(16)) });
    },
  );
  test.each(verbs(given))("[identity] groups are exactly those of the config: %s", async (verb) => {
    expect((await status(verb)).groups).toBe(GIVEN.join(" "));
  });
  test("nothing is left to be told", async () => {
    const { response } = await served.call("a/info");
    expect(JSON.stringify(response)).not.toContain("supplementary");
  });
});

describe.if(isRoot)("served by an ordinary user who may not set groups", () => {
  const served = serving(() =>
    serveSandboxes([...none, ...given], {
      user: "root",
      through: as(GROUPS, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"),
    }),
  );
  test.each(verbs([...none, ...given]))(
    "no capability of the server comes along: %s",
    async (verb) => {
      const script = "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status";
      const { stdout } = await served.run(`a/${verb}`, { script });
      expect((stdout ?? []).map((line) => line.split("\t")[1])).toEqual(
        Array(4).fill("0".repeat(16)),
      );
    },
  );
  test("groups that stay are told by info, of each sandbox", async () => {
    const { response } = await served.call("a/info");
    const { groups } = response as {
      groups: { uid: string; notices?: { path: string; message: string }[] }[];
    };
    /** Numbers of the groups in each notice on them. */
    const told = (uid: string) =>
      (groups.find((group) => group.uid === uid)?.notices ?? [])
        .filter(({ path }) => path.endsWith(".acls.groups"))
        .map(({ message }) => (message.split(/: the server|, and /)[0] ?? "").match(/\d+/g));
    for (const { uid } of none) expect([uid, ...told(uid)]).toEqual([uid, ["27", "60", "5000"]]);
    for (const { uid } of given) expect([uid, ...told(uid)]).toEqual([uid, ["4"], ["27", "5000"]]);
  });
});
