"""
Holds launches of a server at a system call of theirs, with ptrace(2): `launch-tracer.py SERVER-PID`.

Each line on stdin is awaited by one launch: "record", or "hold KEY". A recorded launch runs through, and what it did is printed:
{"ops": the codes of its plan, "keys": its system calls, each once}. A held one stops before the first call with that key, for
good, and {"held": KEY} is printed. At the end of this process the kernel lets all of them go on.
"""
import ctypes, json, os, re, struct, sys

libc = ctypes.CDLL(None)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
CONT, SYSCALL, SEIZE, INTERRUPT, GET_SYSCALL_INFO = 7, 24, 0x4206, 0x4207, 0x420E
# TRACESYSGOOD, FORK, VFORK, CLONE, EXEC
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10
EXEC, STOP = 4, 128
ARM = os.uname().machine == "aarch64"
# x86_64, aarch64
NUMBERS = dict(openat=(257, 56), openat2=(437, 437), clone=(56, 220), clone3=(435, 435), execve=(59, 221), mount=(165, 40), umount2=(166, 39),
    open_tree=(428, 428), move_mount=(429, 429), fsopen=(430, 430), fsconfig=(431, 431), fsmount=(432, 432), mount_setattr=(442, 442),
    pivot_root=(155, 41), symlinkat=(266, 36), mkdirat=(258, 34), unlinkat=(263, 35), unshare=(272, 97), ioctl=(16, 29),
    sethostname=(170, 161), setpriority=(141, 140), prlimit64=(302, 261), umask=(95, 166), chdir=(80, 49), setgroups=(116, 159),
    setresgid=(119, 149), setresuid=(117, 147), capset=(126, 91), capget=(125, 90), prctl=(157, 167), seccomp=(317, 277),
    landlock_create_ruleset=(444, 444), landlock_add_rule=(445, 445), landlock_restrict_self=(446, 446), read=(0, 63), write=(1, 64),
    close_range=(436, 436), setsid=(112, 157), keyctl=(250, 219), socketpair=(53, 199), setsockopt=(54, 208), pipe2=(293, 59),
    mmap=(9, 222), signalfd4=(289, 74), eventfd2=(290, 19), ppoll=(271, 73), recvmsg=(47, 212), pidfd_open=(434, 434), socket=(41, 198), statx=(332, 291),
    rt_sigprocmask=(14, 135), rt_sigaction=(13, 134), dup3=(292, 24), wait4=(61, 260), fcntl=(72, 25), fstatfs=(138, 44), fchdir=(81, 50),
    close=(3, 57), setns=(308, 268))
NAMES = {number[ARM]: name for name, number in NUMBERS.items()}
# The argument that tells one use of the call from another: a string, or a number.
TEXTS = dict(openat=1, openat2=1, execve=0, fsopen=0, chdir=0)
VALUES = dict(prctl=0, landlock_add_rule=1, fcntl=1)

def ptrace(request, pid, address=0, data=0):
    return libc.ptrace(request, pid, address, data)

def text(pid, address):
    try:
        with open("/proc/%d/mem" % pid, "rb") as memory:
            memory.seek(address)
            return re.sub(r"\d+", "N", memory.read(64).split(b"\0")[0].decode())
    except OSError:
        return "?"

def entered(pid):
    """The system call that is about to be made: struct ptrace_syscall_info."""
    info = ctypes.create_string_buffer(88)
    if ptrace(GET_SYSCALL_INFO, pid, 88, ctypes.addressof(info)) <= 0 or info.raw[0] != 1:
        return None
    number, *arguments = struct.unpack_from("<7Q", info.raw, 24)
    name = NAMES.get(number, "call-%d" % number)
    if name in TEXTS: return "%s(%s)" % (name, text(pid, arguments[TEXTS[name]]))
    if name in VALUES: return "%s(%d)" % (name, arguments[VALUES[name]])
    return name

def status(pid, field):
    with open("/proc/%d/status" % pid) as lines:
        return next(line.split()[1] for line in lines if line.startswith(field + ":"))

def ops(pid):
    """The codes of the plan: layout.ts."""
    with open("/proc/%d/fd/3" % pid, "rb") as file: blob = file.read()
    offset, codes = 16, []
    while offset < len(blob):
        code, size = struct.unpack_from("<2I", blob, offset)
        codes.append(code)
        offset += size
    return codes

def tell(**what):
    print(json.dumps(what), flush=True)

class Launch:
    def __init__(self, pid):
        order = sys.stdin.readline().split()
        if not order: sys.exit(0)
        self.key = order[1] if order[0] == "hold" else None
        self.ops, self.keys, self.holding = None, [], False

def is_agent(pid):
    with open("/proc/%s/cmdline" % pid, "rb") as file: return file.read().split(b"\0")[0] == b"spawnbox: agent"

def children(pid):
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as file:
            yield from file.read().split()

server = int(sys.argv[1])
for task in os.listdir("/proc/%d/task" % server):
    if ptrace(SEIZE, int(task), 0, OPTIONS) < 0: sys.exit("cannot trace %s" % task)
# What forks for the server, and what it has made, are its children. An agent that is made later is executed by it.
agents = {int(child) for child in children(server) if is_agent(child)}
ahead = {pid for pid in agents if os.getpgid(pid) in agents - {pid}}
for pid in agents:
    if ptrace(SEIZE, pid, 0, OPTIONS) < 0: sys.exit("cannot trace %d" % pid)
agents -= ahead
# They stop once, as those that are made from here on.
for pid in ahead: ptrace(INTERRUPT, pid)
# Those of which is seen that they wait for a message: before, one could come unseen.
unseen = set(ahead)
if not unseen: tell(tracing=server)
# Who is no launch yet: with how many writes are left, once it waits for a message, until the agent knows that it has one. Held
# before that, it would hold up all others.
waiting = {}
# The role is what a process is by its parents.
launches, roles = {}, {}
while True:
    try: pid, state = os.waitpid(-1, 0x40000000)
    except ChildProcessError: sys.exit(0)
    if not os.WIFSTOPPED(state): continue
    signal, event = os.WSTOPSIG(state), state >> 16
    launch = launches.get(pid)
    try:
        if launch is None and event == STOP and int(status(pid, "Tgid")) != server:
            parent = int(status(pid, "PPid"))
            if parent == server and pid not in agents and pid not in roles and is_agent(pid):
                waiting[pid] = 0
                roles[pid] = "supervisor"
            elif pid not in waiting:
                launch = launches[pid] = launches.get(parent)
                roles[pid] = roles.get(parent, "") + ">"
        if event == EXEC and launch is None and int(status(pid, "PPid")) == server:
            agents.add(pid)
        elif event == EXEC and launch:
            # It is the command now: the launch is through.
            if launch.key is None: tell(ops=launch.ops, keys=launch.keys)
            launches[pid] = None
            roles[pid] = "command"
            ptrace(CONT, pid)
            continue
    except (OSError, StopIteration):
        continue
    if signal == 5 | 0x80:
        key = entered(pid)
        if key and pid in waiting:
            if key == "recvmsg":
                waiting[pid] = 2
                if pid in unseen:
                    unseen.discard(pid)
                    if not unseen: tell(tracing=server)
            elif waiting[pid] and key == "write": waiting[pid] -= 1
            elif not waiting[pid] and key != "close":
                del waiting[pid]
                launch = launches[pid] = Launch(pid)
        # From there on the plan is where it is to be.
        if launch and key == "setsid" and launch.ops is None: launch.ops = ops(pid)
        if launch and key:
            key = roles[pid].replace("supervisor>>", "command").replace("supervisor>", "child") + ":" + key
            if key not in launch.keys: launch.keys.append(key)
            if key == launch.key and not launch.holding:
                launch.holding = True
                tell(held=key)
                continue
        ptrace(SYSCALL, pid)
        continue
    deliver = 0 if event or signal == 5 else signal
    ptrace(SYSCALL if launch or launches.get(pid) or pid in waiting else CONT, pid, 0, deliver)
