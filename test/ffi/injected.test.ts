/** What a kernel may answer that this one does not: put in its place by strace(1), in a process of its own. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import type { KernelCall } from "../../ffi/kernel.ts";
import { mayTrace, told } from "../strace.ts";

const traced = test.skipIf(!mayTrace());

const ffi = (name: string) => JSON.stringify(join(import.meta.dir, `../../ffi/${name}.ts`));

const refused = (name: string) => `getsockopt(fd N, ${name}): ERANGE`;

traced.each([
  ["Label", "retval=0:poke_exit=@arg4=6162630a,@arg5=04000000", 1, "abc"],
  ["Label", "retval=0:poke_exit=@arg5=00000000", 1, undefined],
  // 512 bytes are needed, 4096 and more than that; or no more than there were.
  ["Label", "error=ERANGE:poke_exit=@arg5=00020000", 2, undefined],
  ["Label", "error=ERANGE:poke_exit=@arg5=00100000", 2, undefined],
  ["Label", "error=ERANGE:poke_exit=@arg5=01100000", 1, undefined],
  ["Label", "error=ERANGE:poke_exit=@arg5=00010000", 1, undefined],
  ["Label", "error=EPERM:poke_exit=@arg5=00020000", 1, undefined],
  ["Groups", "retval=0:poke_exit=@arg4=0a000000ffffffff,@arg5=08000000", 1, [10, 4294967295]],
  ["Groups", "error=ERANGE:poke_exit=@arg5=00020000", 2, refused("SO_PEERGROUPS")],
  ["Groups", "error=ERANGE:poke_exit=@arg5=00010000", 1, refused("SO_PEERGROUPS")],
  ["Groups", "error=EPERM:poke_exit=@arg5=00020000", 1, "getsockopt(fd N, SO_PEERGROUPS): EPERM"],
  [
    "Credentials",
    "retval=0:poke_exit=@arg4=05000000feffffffffffffff",
    1,
    { pid: 5, uid: 4294967294, gid: 4294967295 },
  ],
])("of who connected: %s, %s", (what, answer, times, expected) => {
  const script = `
    const { peer${what} } = await import(${ffi("sockets")});
    const { messagePair } = await import(${ffi("messages")});
    try {
      console.log(JSON.stringify(peer${what}(messagePair()[0])));
    } catch (error) {
      console.log(JSON.stringify(error.message.replace(/fd [0-9]+/, "fd N")));
    }
    process.exit();`;
  const { printed, calls } = told(script, `getsockopt:${answer}`);
  const value: unknown = printed === "undefined\n" ? undefined : JSON.parse(printed);
  if (typeof expected === "string") expect(value).toStartWith(expected);
  else expect<unknown>(value).toEqual(expected);
  expect(calls.filter((line) => line.includes("SO_PEER"))).toHaveLength(times);
});

traced.each([
  ["retval=3:poke_exit=@arg3=616263", "abc"],
  ["retval=0", ""],
  ["error=ENODATA", undefined],
])("an extended attribute of %s is told as it is", (answer, expected) => {
  const script = `
    const { xattr } = await import(${ffi("files")});
    console.log(JSON.stringify([xattr("/", "user.none")]));`;
  const { printed } = told(script, `getxattr:${answer}`);
  expect(JSON.parse(printed)).toEqual([expected ?? null]);
});

/** What a statement that throws comes to, as JSON. */
const tried = (module: string, names: string, statement: string) => `
  const { ${names} } = await import(${ffi(module)});
  try {
    console.log(JSON.stringify(${statement}));
  } catch (error) {
    console.log(JSON.stringify(error.message));
  }`;

const SEALED = "MFD_CLOEXEC|MFD_ALLOW_SEALING";
traced.each([
  [true, "EINVAL", [`${SEALED}|0x10`, SEALED], /^\d+\n$/],
  [true, "EPERM", [`${SEALED}|0x10`], /memfd_create\(x-y\): EPERM/],
  [false, "EINVAL", [SEALED], /memfd_create\(x-y\): EINVAL/],
])("a memfd, executable: %p, where that is %s", (isExecutable, error, flags, expected) => {
  const script = tried("libc", "memfdCreate", `memfdCreate("x-y", ${isExecutable})`);
  const { printed, calls } = told(script, `memfd_create:error=${error}:when=1`);
  expect(printed).toMatch(expected);
  const made = calls.flatMap(
    (line) => /memfd_create\("x-y", (\S+?)(?: .*)?\)/.exec(line)?.[1] ?? [],
  );
  expect(made.map((one) => one.replace("MFD_EXEC", "0x10"))).toEqual(flags);
});

traced.each([
  ["isReadable", "POLLIN"],
  ["isWritable", "POLLOUT"],
  ["haveMountsChanged", "POLLPRI"],
  ["isHungUp", "0"],
])(
  "a look at a descriptor, %s, does not wait, and is taken again after a signal",
  (name, event) => {
    const look = (error: string) => {
      const { printed, calls } = told(
        tried("libc", name, `${name}(1)`),
        `?poll,ppoll:error=${error}:when=1`,
      );
      const looks = calls.flatMap((line) => /poll\(\[(.*?)\], (.*?)\)/.exec(line)?.slice(1) ?? []);
      return { printed, looks };
    };
    const once = [`{fd=1, events=${event}}`, "1, 0"];
    const { printed, looks } = look("EINTR");
    expect([printed.trim(), looks]).toEqual([`${name === "isWritable"}`, [...once, ...once]]);
    expect(look("EINVAL")).toEqual({ printed: expect.stringMatching("EINVAL"), looks: once });
  },
);

traced.each([
  // ST_VALID, which is always told, with ST_NOEXEC and ST_RDONLY: struct statfs has the flags behind ten words.
  [`retval=0:poke_exit=@arg2=${"00".repeat(80)}2800000000000000`, true],
  [`retval=0:poke_exit=@arg2=${"00".repeat(80)}2100000000000000`, false],
  [`error=ENOENT:poke_exit=@arg2=${"00".repeat(80)}2800000000000000`, false],
])("whether a mount is noexec, %#", (answer, expected) => {
  const script = tried("libc", "mountFlags", `[mountFlags("/").noexec, mountFlags("/").noexec]`);
  expect(told(script, `statfs:${answer}`).printed).toBe(`[${expected},${expected}]\n`);
});

traced("who cannot have what others leave behind is told why", () => {
  const { printed, calls } = told(
    tried("children", "becomeSubreaper", "becomeSubreaper()"),
    "prctl:error=EINVAL",
  );
  expect(printed).toBe('"prctl(PR_SET_CHILD_SUBREAPER): EINVAL"\n');
  expect(calls.filter((line) => line.includes("SUBREAPER"))).toEqual([
    expect.stringContaining("prctl(PR_SET_CHILD_SUBREAPER, 1) = -1"),
  ]);
});

traced.each(["EMFILE", "ENFILE", "ENOMEM", "ENOENT"])(
  "children of a thread that cannot be listed, with %s, are none only where it has ended",
  (error) => {
    const script = tried("children", "listChildren", "listChildren().length");
    // The number of its first thread is that of the shell, since strace puts itself apart.
    const traced = `exec strace -D -f -qq -o /dev/null -P /proc/self/task/$$/children -e trace=openat -e inject=openat:error=${error} "$0" -e "$1"`;
    const { stdout } = Bun.spawnSync(["/bin/sh", "-c", traced, process.execPath, script]);
    expect(stdout.toString()).toMatch(error === "ENOENT" ? /^\d+\n$/ : error);
  },
);

traced.each([
  ["EAGAIN", "false"],
  ["ENOBUFS", "false"],
  ["ETOOMANYREFS", "false"],
  ["EPIPE", /^"sendmsg\(.*\): EPIPE/],
])("a message for which there is no room is sent later, and only that: %s", (error, expected) => {
  const script = `
    const { messagePair } = await import(${ffi("messages")});
    ${tried("messages", "sendMessage", "sendMessage(messagePair()[0], Buffer.from('abc'), [1])")}`;
  const { printed, calls } = told(script, `sendmsg:error=${error}`);
  expect(printed.trim()).toMatch(expected);
  const sent = calls.filter((line) => line.includes("SCM_RIGHTS"));
  expect(sent).toEqual([
    expect.stringContaining(
      'msg_iov=[{iov_base="abc", iov_len=3}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[1]}], msg_controllen=24, msg_flags=0}, MSG_DONTWAIT|MSG_NOSIGNAL)',
    ),
  ]);
});

traced.each<[KernelCall, string]>([
  ["pidfd_open", "-1, 0"],
  // What the threads of the runtime come by is let be.
  ["clone3", "0xffffffffffffffff, 0"],
  ["close_range", "4294967295, 0, 0"],
  ["openat2", "-1, NULL, NULL, 0"],
  ["pidfd_getfd", "-1, 0, 0"],
  // As an ordinary user it says EPERM to some sizes, before it looks at what it is given.
  ["mount_setattr", "-1, NULL, 0, NULL, 0"],
])(
  "whether %s is there is asked with nothing that it could do, or not be allowed",
  (name, nothing) => {
    const script = `
    const { dlopen } = await import("bun:ffi");
    const { missingCall } = await import(${ffi("kernel")});
    // What has failed before says nothing of it.
    dlopen("libc.so.6", { syscall: { args: ["i64"], returns: "i64" } }).symbols.syscall(100_000);
    console.log(missingCall("${name}"));`;
    const answers = ["retval=0", "error=EINVAL", "error=ENOSYS", "error=EPERM"].map((answer) => {
      const never = name === "clone3" ? ":when=65535" : "";
      const { printed, calls } = told(script, `${name}:${answer}${never}`);
      expect(calls.join()).toContain(`${name}(${nothing})`);
      return printed.trim();
    });
    if (name === "clone3") expect(answers).toEqual(Array(4).fill("undefined"));
    else expect(answers).toEqual(["undefined", "undefined", "ENOSYS", "EPERM"]);
  },
);

traced("who is not to be traced says so to the kernel", () => {
  const script = `
    const { setUndumpable } = await import(${ffi("libc")});
    setUndumpable();`;
  const { calls } = told(script, "prctl:retval=0");
  expect(calls.filter((line) => line.includes("DUMP"))).toEqual([
    expect.stringContaining("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"),
  ]);
});

traced.each([
  ["ENOENT", 1],
  ["EAGAIN", 4],
])(
  "what lies below is looked for again only where a name was changing, with %s",
  (error, times) => {
    const script = `
    const { openBeneath, openDirectory } = await import(${ffi("beneath")});
    console.log(openBeneath(openDirectory("/"), "usr"));`;
    const { printed, calls } = told(script, `openat2:error=${error}`);
    expect(printed).toBe("undefined\n");
    expect(calls.filter((line) => line.includes('"usr"'))).toHaveLength(times);
  },
);

traced("a directory that cannot be mounted on demand is not taken as it is without", () => {
  const script = `
    const { handleAt } = await import(${ffi("at")});
    try {
      console.log(handleAt(-100, ${JSON.stringify(import.meta.dir)}));
    } catch (error) {
      console.log(error.message);
    }`;
  expect(told(script, "openat:error=EIO:when=1", "-P", import.meta.dir).printed).toStartWith(
    `open(${import.meta.dir}): EIO`,
  );
});
