/** As root, for who owns what. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfigs } from "../../src/config/load.ts";
import { deciders } from "../../src/config/trust.ts";
import { isRoot } from "../served.ts";

const OTHER = 1234;
const text = JSON.stringify({ metadata: { uid: "t", api: "t" }, sandboxes: [] });

test("who decides: root, the server's user, and who called sudo", () => {
  expect(deciders(0, {})).toEqual([0, 0]);
  expect(deciders(5, { SUDO_UID: "7" })).toEqual([0, 5, 7]);
  for (const SUDO_UID of ["", "-1", "0x7", "7 8"])
    expect(deciders(5, { SUDO_UID })).toHaveLength(2);
});

describe.if(isRoot)("root obeys a config", () => {
  let dir: string;
  let file: string;
  beforeAll(() => {
    dir = mkdtempSync(join(realpathSync(tmpdir()), "spawnbox-trust-"));
    mkdirSync(join(dir, "deep"));
    file = join(dir, "deep/c.json");
    writeFileSync(file, text, { mode: 0o644 });
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const loads = (path = file, uid = 0) => loadConfigs(path, uid).length === 1;
  /** Changes a path for as long as `probe` runs. */
  const having = (path: string, mode: number, owner: number, probe: () => void) => {
    chmodSync(path, mode);
    chownSync(path, owner, 0);
    try {
      probe();
    } finally {
      chownSync(path, 0, 0);
      chmodSync(path, path.endsWith(".json") ? 0o644 : 0o755);
    }
  };

  test("that only root can change, also in a directory such as /tmp, and through a link", () => {
    expect(loads()).toBe(true);
    for (const path of [dir, join(dir, "deep")])
      having(path, 0o1777, 0, () => expect(loads()).toBe(true));
    symlinkSync("deep/c.json", join(dir, "link.json"));
    expect(loads(join(dir, "link.json"))).toBe(true);
  });

  test("not one that others can write, nor with a directory that others can write", () => {
    for (const mode of [0o664, 0o646])
      having(file, mode, 0, () => expect(() => loads()).toThrow(`chmod go-w ${file}`));
    for (const path of [dir, join(dir, "deep")]) {
      having(path, 0o775, 0, () => {
        expect(() => loads()).toThrow(`chmod go-w ${path}`);
        // All that is to be done is told at once.
        having(file, 0o666, 0, () => expect(() => loads()).toThrow(`chmod go-w ${file} ${path}`));
      });
    }
  });

  test("not one that belongs to others, nor with a directory that does, sticky or not", () => {
    for (const path of [file, dir, join(dir, "deep")])
      having(path, 0o1755, OTHER, () =>
        expect(() => loads()).toThrow(`${path} belongs to uid ${OTHER}`),
      );
  });

  test("of who called it through sudo; others obey what they like", () => {
    having(file, 0o644, OTHER, () => {
      const before = process.env["SUDO_UID"];
      process.env["SUDO_UID"] = `${OTHER}`;
      try {
        expect(loads()).toBe(true);
        having(dir, 0o755, OTHER, () => expect(loads()).toBe(true));
      } finally {
        if (before === undefined) delete process.env["SUDO_UID"];
        else process.env["SUDO_UID"] = before;
      }
      expect(() => loads()).toThrow("belongs to uid");
      expect(loads(file, 65534)).toBe(true);
    });
  });
});
