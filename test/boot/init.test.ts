/** The init of early boot as PID 1 of namespaces: what it becomes. All else that it does is tried in the virtual machine. */
import { expect, test } from "bun:test";
import { runMachine } from "./rooted.ts";

/** An init that tells how it was started, and what the kernel log has by then. */
const init = (name: string) => `#!/bin/sh
echo "${name} $*"
env | grep SPAWNBOX
grep -a -e early -e SPAWNBOX /dev/kmsg
exit 0
`;
const files = {
  "/early": "#!/bin/sh\nenv | grep SPAWNBOX\necho ready >&3",
  "/sbin/init": init("usual"),
  "/asked": init("asked"),
  "/named": init("named"),
};
const DONE = "<5>spawnbox: early tasks done";

function become(words: string, ...environment: string[]): string[] {
  const script = `exec env ${environment.join(" ")} /launcher a b`;
  return runMachine({ cmdline: `spawnbox.path=/early ${words}`, files, script }).split("\n", 2);
}

test("it becomes the usual init, with the arguments that it got", () => {
  expect(become("quiet")).toEqual(["usual a b", DONE]);
});

test("where an initramfs has put it before another init, that one, which sees nothing of it", () => {
  expect(become("quiet", "SPAWNBOX_INIT=/asked")).toEqual(["asked a b", DONE]);
});

test("the kernel command line has the last word", () => {
  expect(become("spawnbox.init=/named", "SPAWNBOX_INIT=/asked")).toEqual(["named a b", DONE]);
});

test.each([
  ["is missing", "/nothing"],
  ["is this very program", "/launcher"],
])("an init that %s is passed over", (_, path) => {
  expect(become("", `SPAWNBOX_INIT=${path}`)[0]).toBe("usual a b");
  expect(become(`spawnbox.init=${path}`)[0]).toBe("usual a b");
});

test("of a word that is given twice, the last counts", () => {
  expect(become("spawnbox.init=/named spawnbox.init=/asked")[0]).toBe("asked a b");
  expect(become("spawnbox.early=off spawnbox.early=on")).toEqual(["usual a b", DONE]);
});

test("without /proc too, it does not become itself", () => {
  const script = `umount /proc/cmdline /proc
rmdir /proc
touch /proc
ln -s /launcher /sbin/init
exec /sbin/init a b`;
  const said = runMachine({
    files: { "/sbin/sh": "", "/usr/lib/systemd/systemd": "#!/bin/sh\necho next $*" },
    script,
  });
  expect(said).toBe("next a b\n");
});

test("spawnbox.early=off: straight to the init", () => {
  expect(become("spawnbox.early=off", "SPAWNBOX_INIT=/asked")).toEqual(["asked a b", ""]);
});

test("a server that closes the pipe and lives on is waited for, without a core being taken", () => {
  const cmdline = "spawnbox.path=/closed spawnbox.deadline=2";
  // User and system time outlast an exec; ticks of 10 ms.
  const own = {
    "/sbin/init": "#!/bin/sh\nread -r line </proc/1/stat; set -- $line; echo $((${14} + ${15}))",
  };
  const closed = { "/closed": "#!/bin/sh\nexec 3>&-\nexec sleep 60" };
  const ticks = runMachine({ cmdline, files: { ...own, ...closed }, script: "exec /launcher" });
  expect(ticks.trim()).toMatch(/^\d+$/);
  expect(Number(ticks)).toBeLessThan(50);
});
