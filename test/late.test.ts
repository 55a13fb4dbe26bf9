/** What is loaded late is loaded by who uses it, and not by a start. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { isIP as theirs } from "node:net";
import { dirname, join } from "node:path";
import { isIP, isIPv6 } from "../src/ip.ts";

const src = join(import.meta.dir, "../src");

/** All that a file imports at once, and not by `import()`: files, and what they import of others, with who does. */
function importedBy(entry: string): Map<string, string> {
  const found = new Map<string, string>();
  const seen = new Set<string>();
  const look = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, name = ""] of text.matchAll(
      /^(?:import|export) (?!type\b)(?:[^;"]*? from )?"([^"]+)";/gm,
    )) {
      if (!name.startsWith(".")) found.set(name, file);
      else if (/(?<!\.d)\.ts$/.test(name)) look(join(dirname(file), name));
    }
  };
  look(entry);
  return found;
}

test("a server begins without sockets of node:net, ciphers, threads, streams and what few ask for", () => {
  const imported = importedBy(join(src, "cli/serve.ts"));
  // It looks far enough.
  expect([...imported.keys()]).toEqual(expect.arrayContaining(["node:fs", "bun:ffi", "node:os"]));
  const late = [
    ...["net", "tls", "http", "https", "crypto", "worker_threads", "dns", "dns/promises"],
    ...["util", "fs/promises", "stream", "url", "tty"],
  ];
  const others = ["elysia", "mqtt", "@modelcontextprotocol/sdk"];
  for (const name of [...late.map((one) => `node:${one}`), ...others])
    expect([name, imported.get(name)]).toEqual([name, undefined]);
});

test("what each subcommand begins with makes no code: where that is forbidden, it is what tells so", () => {
  const imported = importedBy(join(src, "main.ts"));
  expect([...imported.keys()]).toContain("node:fs");
  expect(imported.get("bun:ffi")).toBeUndefined();
});

test("an address is one for us where it is one for the library", () => {
  const parts = ["0", "00", "1", "01", "9", "10", "99", "100", "199", "200", "249", "250", "255"];
  const odd = ["256", "260", "300", "1000", "", " 1", "1 ", "+1", "0x1", "1e1", "١", "a"];
  const v4 = [...parts, ...odd].flatMap((one) =>
    [0, 1, 2, 3].map((at) => ["1", "2", "3", "4"].with(at, one).join(".")),
  );
  const texts = [
    ...["", ".", "1", "1.2", "1.2.3", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..2.3", "1.2.3.4\n"],
    ...["0.0.0.0", "255.255.255.255", "127.0.0.1", "127.1", "localhost", "a.b.c.d", "1.2.3.4/8"],
    ...["::", "::1", "1::", ":", ":::", "fe80::1%eth0", "fe80::1%", "::ffff:1.2.3.4", "::1.2.3"],
    ...["[::1]", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "g::1", "::1 ", "1.2.3.4:80", "a:b"],
    ...v4,
  ];
  for (const text of texts)
    expect([text, isIP(text), isIPv6(text)]).toEqual([text, theirs(text) as 0, theirs(text) === 6]);
});
