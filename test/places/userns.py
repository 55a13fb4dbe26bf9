"""userns.py OPTIONS COMMAND...: the command as root of a user namespace. OPTIONS are JSON: "map", the lines of its uid_map and gid_map;
"script" for a shell that runs first, in all other namespaces of the command's own; "root", a mount that becomes the root; "rules", a filter."""
import ctypes, json, os, subprocess, sys
from filter import apply, libc

# mount, cgroup, uts, ipc, pid, net
OTHERS = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
options = json.loads(sys.argv[1])


def unshare(flags):
    assert libc.unshare(flags) == 0, os.strerror(ctypes.get_errno())


def waited(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255


ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    unshare(0x10000000)
    os.write(ready[1], b"x")
    os.read(mapped[0], 1)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if "script" in options:
        unshare(OTHERS)
        init = os.fork()
        if init != 0:
            os._exit(waited(init))
        # The death of whoever waits out here is that of all in here.
        assert libc.prctl(1, 9, 0, 0, 0) == 0
        subprocess.run(["sh", "-ec", options["script"]], check=True, stdin=subprocess.DEVNULL)
    if "root" in options:
        os.chdir(options["root"])
        assert libc.pivot_root(b".", b".") == 0, os.strerror(ctypes.get_errno())
        assert libc.umount2(b".", 2) == 0, os.strerror(ctypes.get_errno())
        os.chdir("/")
    if "rules" in options:
        apply(options["rules"])
    os.execvp(sys.argv[2], sys.argv[2:])
os.read(ready[0], 1)
for kind in "uid", "gid":
    with open(f"/proc/{child}/{kind}_map", "w") as file:
        file.write(options["map"])
os.write(mapped[1], b"x")
sys.exit(waited(child))
