/** Where other binders are met: what each URI means, and each that means nothing with what is wrong. */
import { describe, expect, test } from "bun:test";
import { parseClient, parseImport, parseServer, placeOf } from "../../src/config/binder-uri.ts";

const api = (local: string, remote: string | undefined = local) => ({ local, remote });

describe("a server", () => {
  test.each([
    ["unix:/run/x", { kind: "unix", path: "/run/x" }, [api("x")]],
    ["unix:@x", { kind: "unix", path: "@x" }, [api("x")]],
    ["unix:/run/x?as-api=y", { kind: "unix", path: "/run/x" }, [api("y")]],
    ["tcp:h:1/y", { kind: "tcp", host: "h", port: 1 }, [api("y")]],
    ["h:65535/y", { kind: "tcp", host: "h", port: 65535 }, [api("y")]],
    ["tcp:*:7/y", { kind: "tcp", host: "0.0.0.0", port: 7 }, [api("y")]],
    ["tcp:[::1]:7/y", { kind: "tcp", host: "::1", port: 7 }, [api("y")]],
    ["sd:name?as-api=y", { kind: "sd", name: "name" }, [api("y")]],
    ["sd:name", { kind: "sd", name: "name" }, [api("name")]],
    ["sd:name/y", { kind: "sd", name: "name" }, [api("y")]],
    ["unix:/x?export=a,b@c", { kind: "unix", path: "/x" }, [api("a"), api("b", "c")]],
    ["unix:/x?export=a@", { kind: "unix", path: "/x" }, [{ local: "a", remote: undefined }]],
    ["unix:/x?export=*", { kind: "unix", path: "/x" }, [api("*")]],
    ["unix:/x?as-api=a&export=b", { kind: "unix", path: "/x" }, [api("a"), api("b")]],
  ])("%s", (uri, address, exported) => {
    expect(parseServer(uri, "rpc")).toEqual({
      ...{ speech: "rpc", uri, address, exported, imported: [] },
    } as ReturnType<typeof parseServer>);
  });

  test("imports, too", () => {
    expect(parseServer("unix:/x?export=a&import=b@c", "rpc")).toMatchObject({
      exported: [api("a")],
      imported: [api("b", "c")],
    });
  });

  const nowhere = "expected unix:PATH, unix:@NAME, tcp:HOST:PORT, tls+tcp:HOST:PORT or sd:NAME";
  test.each([
    ["rpc", "char:/dev/x", nowhere],
    ["rpc", "unix:", nowhere],
    ["rpc", "unix:@", nowhere],
    ["rpc", "unix:/x\0", nowhere],
    ["rpc", "tcp:h:65536/y", nowhere],
    ["rpc", "tcp:h/y", nowhere],
    ["rpc", "tcp:h:1", nowhere],
    ["rpc", "tls+sd:x", nowhere],
    ["rpc", `unix:/${"x".repeat(107)}`, "the path of a socket has at most 107 bytes"],
    ["rpc", `unix:/${"é".repeat(54)}`, "the path of a socket has at most 107 bytes"],
    ["rpc", "unix:/x?as-api=a&as-api=b", "as-api= is given twice"],
    ["rpc", "unix:/x?export=a,a", 'two APIs are exported as "a"'],
    ["rpc", "unix:/x?export=a&as-api=a", 'two APIs are exported as "a"'],
    ["rpc", "unix:/x?import=*", "what is imported has a name: NAME or LOCAL@REMOTE"],
    ["rpc", "unix:/x?import=a@*", "what is imported has a name: NAME or LOCAL@REMOTE"],
    ["rpc", "unix:/x?export=a@b@c", 'no API is named by "a@b@c"'],
    ["rpc", "unix:/x?export=", 'no API is named by ""'],
    ["rpc", `unix:/x?export=${"a".repeat(201)}`, "no API is named by"],
    ["rpc", "unix:/x?exports=a", "exports= is not known here: there is as-api=, import=, export="],
    ["rpc", "unix:/x?key=/a", "key= is for tls+tcp: and mtls+tcp:"],
    ["ws", "unix:/x?import=a", "WSAPI goes one way: import with --rpc-server or --ws-client"],
    ["ws", "unix:/x?export=a,b", "WSAPI carries one API, and no name"],
    ["ws", "unix:/x?export=*", "WSAPI carries one API, and no name"],
    ["ws", "tls+tcp:h:1/y?cert=/a&key=/b", "WSAPI has no TLS: use the options of rpc"],
  ] as const)("of %s is not at %j", (speech, uri, said) => {
    expect(() => parseServer(uri, speech)).toThrow(`--${speech}-server ${uri}: ${said}`);
  });

  test("a path of the most bytes is one", () => {
    const path = `/${"x".repeat(106)}`;
    expect(parseServer(`unix:${path}?as-api=a`, "ws").address).toEqual({ kind: "unix", path });
  });
});

describe("a client", () => {
  test.each([
    ["public:unix:/run/x", [api("x")], []],
    ["public:tcp:h:1/x?import=a,b@c", [api("a"), api("b", "c")], []],
    ["public:tcp:h:1/x?as-api=a&import=b", [api("a"), api("b")], []],
    ["unix:/x?export=a", [], [api("a")]],
    ["public:unix:/x?import=a&export=b", [api("a")], [api("b")]],
  ])("%s", (uri, imported, exported) => {
    expect(parseClient(uri, "rpc")).toMatchObject({ imported, exported, isPublic: true });
  });
  test("of WSAPI, of one API", () => {
    expect(parseClient("public:unix:/run/x", "ws")).toMatchObject({ imported: [api("x")] });
  });

  test.each([
    ["rpc", "unix:/run/x", "write it as public:URI"],
    ["rpc", "private:unix:/run/x", "write it as public:URI"],
    [
      "rpc",
      "public:sd:x?as-api=a",
      "expected unix:PATH, unix:@NAME, tcp:HOST:PORT/API or tls+tcp:",
    ],
    ["rpc", "public:unix:/x?import=a,A", 'two APIs are imported as "a"'],
    ["rpc", "public:unix:/x?import=*", "what is imported has a name"],
    ["ws", "public:unix:/x?import=a,b", "WSAPI carries one API, and no name"],
    ["ws", "unix:/x?export=a", "WSAPI goes one way: export with --ws-server or --rpc-client"],
  ] as const)("of %s is not %s", (speech, uri, said) => {
    expect(() => parseClient(uri, speech)).toThrow(`--${speech}-client ${uri}: ${said}`);
  });
});

describe("of a config's imports", () => {
  test.each([
    ["unix:/run/x", false, [api("x")]],
    ["tcp:h:1/x", false, [api("x")]],
    ["tcp:h:1/x", true, [api("x")]],
    ["tcp:h:1", true, []],
    ["unix:/run/x", true, []],
    ["unix:/run/x?import=a@b", false, [api("a", "b")]],
  ])("%s, named elsewhere: %p", (uri, named, imported) => {
    expect(parseImport(uri, "rpc", named).imported).toEqual(imported);
  });

  test.each([
    ["unix:/x?export=a", "export= is for --rpc-client: here others are called"],
    ["unix:/x?import=a,b", "one API each: give another entry for another"],
    ["tcp:h:0/x", "nobody is met at port 0"],
  ])("%s is none", (uri, said) => {
    expect(() => parseImport(uri, "rpc", false)).toThrow(`${JSON.stringify(uri)}: ${said}`);
  });

  test("of a long one the beginning is told", () => {
    const uri = `nothing:${"x".repeat(500)}`;
    expect(() => parseImport(uri, "rpc", false)).toThrow(`"${uri.slice(0, 200)}": expected`);
  });
});

describe("with TLS", () => {
  const files = { cert: "/c", key: "/k" };
  const both = "cert=/c&key=/k";
  test.each<[string, object]>([
    [`tls+tcp:h:1/y?${both}`, { mutual: false, ...files }],
    [`tls+h:1/y?${both}`, { mutual: false, ...files }],
    [`mtls+tcp:h:1/y?${both}&trust=/t`, { mutual: true, ...files, trust: "/t" }],
    [`mtls+tcp:h:1/y?${both}&ca=/t`, { mutual: true, ...files, trust: "/t" }],
  ])("a server: %s", (uri, tls) => {
    const address = { kind: "tcp", host: "h", port: 1, tls };
    expect(parseServer(uri, "rpc") as object).toEqual({
      ...{ speech: "rpc", uri, address, exported: [api("y")], imported: [] },
    });
  });
  const need = "a server with TLS needs cert= and key=";
  test.each([
    ["tls+tcp:h:1/y", need],
    ["tls+tcp:h:1/y?cert=/c", need],
    ["tls+tcp:h:1/y?key=/k", need],
    [`mtls+tcp:h:1/y?${both}`, "mtls+ needs trust=: who signs the other's"],
    [`tls+tcp:h:1/y?${both}&trust=/t`, "trust= looks at the other's certificate: write mtls+tcp:"],
    [`tls+tcp:h:1/y?${both}&host=x`, "host= is for who dials"],
    [`tls+tcp:h:1/y?${both}&cert=/d`, "cert= is given twice"],
    ["tls+tcp:h:1/y?cert=c&key=/k", "cert=: expected an absolute path"],
    [`mtls+tcp:h:1/y?${both}&ca=t`, "ca=: expected an absolute path"],
    [`mtls+tcp:h:1/y?${both}&trust=/t&ca=/t`, "trust= and ca= are the same: give one"],
    [
      `tls+tcp:h:1/y?${both}&more=/t`,
      "more= is not known here: there is as-api=, import=, export=, cert=, key=, trust=, ca=, host=",
    ],
    ["ws+tcp:h:1/y", "no binder speaks ws+: use --ws-server and --ws-client"],
    ["tls+unix:/x?as-api=a", "expected unix:PATH, unix:@NAME, tcp:HOST:PORT, tls+tcp:"],
    ["tcp:h:1/y?trust=/t", "trust= is for tls+tcp: and mtls+tcp:"],
    ["tcp:h:1/y?ca=/t", "ca= is for tls+tcp: and mtls+tcp:"],
    ["tcp:h:1/y?cert=/t", "cert= is for tls+tcp: and mtls+tcp:"],
    ["tcp:h:1/y?host=t", "host= is for tls+tcp: and mtls+tcp:"],
  ])("no server: %s", (uri, said) => {
    expect(() => parseServer(uri, "rpc")).toThrow(`--rpc-server ${uri}: ${said}`);
  });

  test.each<[string, object]>([
    ["tls+tcp:h:1/y?trust=/t", { mutual: false, trust: "/t" }],
    ["tls+tcp:h:1/y?trust=/t&host=", { mutual: false, trust: "/t", host: "" }],
    ["tls+tcp:h:1/y?ca=/t&host=x", { mutual: false, trust: "/t", host: "x" }],
    [`mtls+tcp:h:1/y?${both}&trust=/t`, { mutual: true, ...files, trust: "/t" }],
  ])("a client: %s", (uri, tls) => {
    const address = { kind: "tcp", host: "h", port: 1, tls };
    expect(parseClient(`public:${uri}`, "rpc") as object).toEqual({
      ...{ speech: "rpc", uri, address, exported: [], imported: [api("y")], isPublic: true },
    });
  });
  const trust = "TLS needs trust=: a file with who signs the other's certificate";
  const mutual = "mtls+ needs cert= and key=";
  const shown = "cert= and key= are shown with mtls+tcp:";
  test.each([
    ["tls+tcp:h:1/y", trust],
    ["mtls+tcp:h:1/y?cert=/c&key=/k", trust],
    ["mtls+tcp:h:1/y?trust=/t", mutual],
    ["mtls+tcp:h:1/y?trust=/t&cert=/c", mutual],
    ["mtls+tcp:h:1/y?trust=/t&key=/k", mutual],
    ["tls+tcp:h:1/y?trust=/t&cert=/c", shown],
    ["tls+tcp:h:1/y?trust=/t&key=/k", shown],
  ])("no client: %s", (uri, said) => {
    expect(() => parseClient(`public:${uri}`, "rpc")).toThrow(`public:${uri}: ${said}`);
  });
});

test("who is dialled is at an address that can be, too", () => {
  const long = `unix:/${"x".repeat(107)}?import=a`;
  expect(() => parseClient(`public:${long}`, "rpc")).toThrow("at most 107 bytes");
  expect(() => parseImport(long, "rpc", true)).toThrow("at most 107 bytes");
  expect(() => parseClient("public:tls+tcp:h:1/y?trust=/t", "ws")).toThrow("WSAPI has no TLS");
});

describe("what is no name, and what is no place", () => {
  const none = (name: string) =>
    `no API is named by ${JSON.stringify(name)}: use ?as-api=NAME, or a list of NAME, LOCAL@REMOTE or *`;
  test.each(["a b", "a@b c", "a?b", "a*", "*@b", '"', "'", "@", "@b", "a/b"])("%s", (name) => {
    const uri = `unix:/x?export=${encodeURIComponent(name)}`;
    expect(() => parseServer(uri, "rpc")).toThrow(none(name));
  });
  test("a name of the most characters, of one, and any at the other end", () => {
    for (const name of ["a".repeat(200), "b"])
      expect(parseServer(`unix:/x?export=${name}`, "rpc").exported).toEqual([api(name)]);
    expect(parseServer("unix:/x?export=a@*", "rpc").exported).toEqual([api("a", "*")]);
    expect(parseServer("unix:/run/a:b", "rpc").exported).toEqual([api("b")]);
  });
  test.each([
    "tcp:[::1:7/y",
    "tcp:::1:7/y",
    "tcp:h:/y",
    "tcp:h:123456/y",
    "tcp:h:1/y/z",
    "sd:",
    "sd:a b",
  ])("%s", (place) => {
    expect(() => parseServer(`${place}?as-api=a`, "rpc")).toThrow("expected unix:PATH");
  });
  test("a client dials no socket of the service manager, and says what it imports", () => {
    expect(() => parseClient("public:sd:x/y", "rpc")).toThrow(
      "expected unix:PATH, unix:@NAME, tcp:HOST:PORT/API or tls+tcp:HOST:PORT/API",
    );
    expect(() => parseClient("unix:/run/x", "rpc")).toThrow(
      "write it as public:URI: clients call what this option imports; what only actions may call is for `imports` of a config",
    );
    expect(() => parseClient("", "ws")).toThrow("--ws-client : expected");
    expect(parseClient("unix:/x?export=a", "rpc").uri).toBe("unix:/x?export=a");
    expect(parseClient("public:tcp:h:1/?import=a", "rpc").imported).toEqual([api("a")]);
  });
  test("WSAPI carries one API by the name of the other", () => {
    expect(() => parseServer("unix:/x?export=a,b", "ws")).toThrow(
      "WSAPI carries one API, and no name: give one, and another URI for another",
    );
    expect(() => parseImport("unix:/x?import=a,b", "ws", true)).toThrow("WSAPI carries one API");
    expect(parseImport("unix:/x?import=a,b", "rpc", true).imported).toEqual([api("a"), api("b")]);
  });
});

test("what its place is without its query", () => {
  expect(["unix:/x?key=/secret", "tcp:h:1/y", ""].map(placeOf)).toEqual([
    "unix:/x",
    "tcp:h:1/y",
    "",
  ]);
});
