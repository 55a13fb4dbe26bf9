/** What a kernel may answer that this one does not: put in its place by strace(1), in a process of its own. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { mayTrace } from "../strace.ts";

const ffi = (name: string) => JSON.stringify(join(import.meta.dir, `../../ffi/${name}.ts`));

/** What the script prints where a call is answered so, and what strace(1) says of the calls. */
function told(script: string, inject: string, ...only: readonly string[]) {
  const [call = ""] = inject.split(":");
  const { stdout, stderr } = Bun.spawnSync([
    ...["strace", "-f", "-qq", ...only, "-e", `trace=${call}`, "-e", `inject=${inject}`],
    ...[process.execPath, "-e", script],
  ]);
  return { printed: stdout.toString(), calls: stderr.toString().split("\n") };
}

const refused = (name: string) => `getsockopt(fd N, ${name}): ERANGE`;

test.skipIf(!mayTrace()).each([
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

test.skipIf(!mayTrace()).each([
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

test.skipIf(!mayTrace())("a call that is not refused is there, whatever was before", () => {
  const script = `
    const { missingCall } = await import(${ffi("kernel")});
    console.log([missingCall("openat2"), missingCall("pidfd_open"), missingCall("clone3")].join());`;
  const { printed } = told(script, "openat2:error=ENOSYS", "-e", "inject=pidfd_open:retval=0");
  expect(printed).toBe("ENOSYS,,\n");
});

test.skipIf(!mayTrace())("who is not to be traced says so to the kernel", () => {
  const script = `
    const { setUndumpable } = await import(${ffi("libc")});
    setUndumpable();`;
  const { calls } = told(script, "prctl:retval=0");
  expect(calls.filter((line) => line.includes("DUMP"))).toEqual([
    expect.stringContaining("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"),
  ]);
});

test.skipIf(!mayTrace())(
  "a directory that cannot be mounted on demand is not taken as it is without",
  () => {
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
  },
);
