/** Who may call: what the command line says of it, and what is read together with the configs. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_FILE } from "../../src/access/load.ts";
import { hashOf } from "../../src/access/token.ts";
import { CALL_PRIVILEGE, LOOK_PRIVILEGE } from "../../src/fleet/privileges.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { accessOptions, load } from "../../src/serve/access.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-access-"));
afterAll(() => rmSync(dir, { recursive: true }));

function written(name: string, content: unknown): string {
  const file = join(dir, name);
  writeFileSync(file, JSON.stringify(content));
  chmodSync(file, 0o640);
  return file;
}
const config = written("config.json", {
  metadata: { uid: "t", api: "t" },
  sandboxes: {
    uid: "s",
    acls: { user: process.geteuid?.() },
    commands: { uid: "c", privilege: "urn:x", exec: { cmdpath: "/bin/true" } },
  },
});
const granting = (privileges: string[], more: object = {}) => ({
  grants: [{ token: hashOf("t"), privileges }],
  ...more,
});
const sources = [{ kind: "config", path: config }] as const;
const loaded = (...[option, ...more]: readonly [string | undefined, boolean?, string[]?]) =>
  load(sources, option, undefined, ...more);
const problems = (work: () => unknown) => {
  try {
    work();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
};
const told = ({ notices }: ReturnType<typeof load>) => notices.map(({ message }) => message);

describe("a permission service", () => {
  const of = (cynagora: string | undefined, variable?: string) =>
    accessOptions({ access: undefined, cynagora }, { CYNAGORA_SOCKET_CHECK: variable });
  test("is that of the option, else of the environment, else the usual one", () => {
    const unix = (path: string) => ({ access: undefined, cynagora: { kind: "unix", path } });
    expect(of(undefined, "unix:/v")).toEqual({ access: undefined, cynagora: undefined });
    expect(of("unix:/o", "unix:/v")).toEqual(unix("/o") as never);
    expect(of("", "unix:/v")).toEqual(unix("/v") as never);
    for (const variable of [undefined, ""])
      expect(of("", variable)).toEqual(unix("/run/cynagora/cynagora.check") as never);
  });
  test("is told by where it was said, where it is none", () => {
    const expected = ": expected unix:PATH, unix:@NAME or tcp:HOST:PORT";
    expect(() => of("x", "unix:/v")).toThrow(new TypeError(`--cynagora x${expected}`));
    expect(() => of("", "y")).toThrow(new TypeError(`CYNAGORA_SOCKET_CHECK=y${expected}`));
    expect(() => accessOptions({ access: "", cynagora: undefined }, {})).toThrow(
      new TypeError("--access: expected a file, none, or open"),
    );
    expect(accessOptions({ access: "f", cynagora: undefined }, {}).access).toBe("f");
  });
});

describe("what is read", () => {
  test("without a file: only root and the server's user may, and that somebody has said it counts", () => {
    const none = loaded("none");
    expect([none.apis.map(({ api }) => api), none.guarded, none.tls]).toEqual([
      ...[["t"], true, undefined],
    ] as never);
    expect(none.access.of({}).privileges).toEqual(new Set());
    expect(told(none).some((text) => text.includes("urn:x"))).toBe(true);
    if (!existsSync(DEFAULT_FILE)) expect(loaded(undefined).guarded).toBe(false);
  });

  test("open: whoever can connect may, which is told", () => {
    const open = loaded("open");
    expect([open.guarded, open.access.of({}).privileges]).toEqual([false, "all"]);
    expect(open.notices).toEqual([
      {
        ...{ file: "--access open", path: "" },
        message: "whoever can connect has every privilege, that of reloading included",
      },
    ]);
  });

  test("by a file: what that grants, and what of it nobody asks for", () => {
    const own = [
      ...["urn:spawnbox:reload", "urn:spawnbox:doctor", "urn:spawnbox:metrics"],
      ...[LOOK_PRIVILEGE, CALL_PRIVILEGE],
      ...["set", "trace", "subscribe"].map((one) => `urn:AGL:permission:monitor:public:${one}`),
    ];
    const file = written("access.json", granting(["urn:x", "urn:more", ...own]));
    const found = loaded(file, false, ["urn:more"]);
    expect([found.guarded, found.access.of({ token: "t" }).privileges]).toEqual([
      true,
      new Set(["urn:x", "urn:more", ...own]),
    ]);
    const unneeded = told(found).filter((text) => text.includes("urn:"));
    expect(unneeded.filter((text) => text.includes("urn:more"))).toEqual([]);
    expect(told(loaded(file)).filter((text) => text.includes("urn:more"))).toHaveLength(1);
    for (const name of own) expect([name, unneeded.join()]).toEqual([name, ""]);
  });

  test("with a service, which may grant what no file does", () => {
    const asked = loaded("none", true);
    expect([asked.guarded, told(asked)]).toEqual([true, []]);
    expect(loaded("open", true).guarded).toBe(true);
    const only = written("only.json", granting(["urn:x"], { access: "cynagora-only" }));
    expect(problems(() => loaded(only))).toEqual([
      {
        ...{ file: only, path: "access" },
        message:
          "cynagora-only: nobody could call anything that needs a privilege without the permission service: say --cynagora, or remove this key",
      },
    ]);
    expect(loaded(only, true).access.serviceOnly).toBe(true);
  });

  test("all or nothing: each problem of configs, access and certificates", () => {
    const broken = written("broken.json", { metadata: {} });
    const file = written("wrong.json", { access: 5 });
    const tls = () => {
      throw new ConfigError([{ file: "tls", path: "", message: "m" }]);
    };
    const from = [{ kind: "config", path: broken }] as const;
    const files = problems(() => load(from, file, undefined, false, [], tls)).map(
      ({ file: place }) => place,
    );
    expect([...new Set(files)]).toEqual([broken, file, "tls"]);
    expect(problems(() => load(sources, "none", undefined, false, [], tls))).toHaveLength(1);
    const bug = () => {
      throw new RangeError("bug");
    };
    expect(() => load(sources, "none", undefined, false, [], bug)).toThrow(RangeError);
  });

  test("with TLS its notices; certificates that nobody is asked for are told", () => {
    const notice = { file: "cert", path: "", message: "old" };
    const shown = (requestCert: boolean) => () => ({ options: { requestCert }, notices: [notice] });
    const file = written("certificates.json", {
      grants: [{ certificate: "CN:x", privileges: ["urn:x"] }],
    });
    const of = (tls?: () => ReturnType<ReturnType<typeof shown>> | undefined) =>
      load(sources, file, undefined, false, [], tls);
    const [asking, not, clear, untold] = [
      of(shown(true)),
      of(shown(false)),
      of(() => undefined),
      of(),
    ];
    expect([asking.tls?.options.requestCert, asking.notices]).toEqual([true, [notice]]);
    expect([not.notices[0], not.notices.length]).toEqual([notice, 2]);
    expect([clear.notices.length, clear.tls, untold.notices]).toEqual([1, undefined, []]);
  });
});
