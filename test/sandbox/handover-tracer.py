"""
Slows down what hands its filter's listener over, with ptrace(2): `handover-tracer.py SERVER-PID`, for one launch.

From the return of its seccomp(2) on, that process makes one instruction for many system calls of the supervisor, and runs again once
the supervisor has asked for the sizes of notifications, and has gone on: so that it has the listener between any two instructions,
as on a busy machine by chance. Then {"instructions": how many} is printed.
"""
import ctypes, json, os, struct, sys

libc = ctypes.CDLL(None)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
CONT, STEP, SYSCALL, SEIZE, INTERRUPT, GET_SYSCALL_INFO = 7, 9, 24, 0x4206, 0x4207, 0x420E
# TRACESYSGOOD, FORK, VFORK, CLONE, EXEC
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10
EXEC, WALL = 4, 0x40000000
SECCOMP = 277 if os.uname().machine == "aarch64" else 317
SET_MODE_FILTER, NEW_LISTENER, GET_NOTIF_SIZES = 1, 8, 3
# The supervisor, which looks again and again while it waits, has looked several times then.
BETWEEN = 24
others = 0

def ptrace(request, pid, address=0, data=0):
    return libc.ptrace(request, pid, address, data)

def entered(pid):
    """Number and first two arguments of the system call that is about to be made: struct ptrace_syscall_info."""
    info = ctypes.create_string_buffer(88)
    if ptrace(GET_SYSCALL_INFO, pid, 88, ctypes.addressof(info)) <= 0 or info.raw[0] != 1: return None
    return struct.unpack_from("<3Q", info.raw, 24)

slow, listening, instructions, sized = None, set(), 0, None

def stopped():
    """Who has stopped; the slow one makes an instruction for so many stops of the others."""
    global others, instructions
    pid, state = os.waitpid(-1, WALL)
    others += slow is not None and pid != slow
    if others == BETWEEN:
        others, instructions = 0, instructions + 1
        ptrace(STEP, slow)
    return pid, state

server = int(sys.argv[1])
children = []
for task in os.listdir("/proc/%d/task" % server):
    if ptrace(SEIZE, int(task), 0, OPTIONS) < 0: sys.exit("cannot trace %s" % task)
    with open("/proc/%d/task/%s/children" % (server, task)) as file: children += file.read().split()
children = {int(child) for child in children}
for child in children:
    if ptrace(SEIZE, child, 0, OPTIONS) < 0: sys.exit("cannot trace %d" % child)
# Who was made ahead, in the group of the agent, becomes the supervisor.
ahead = {child for child in children if os.getpgid(child) in children - {child}}
for child in ahead: ptrace(INTERRUPT, child)
print(json.dumps({"tracing": server}), flush=True)
# Of the server and its agent the calls do not matter.
plain = {int(task) for task in os.listdir("/proc/%d/task" % server)} | children - ahead
while True:
    try: pid, state = stopped()
    except ChildProcessError: sys.exit(0)
    if not os.WIFSTOPPED(state): continue
    signal, event = os.WSTOPSIG(state), state >> 16
    if event == EXEC: plain.add(pid)
    if signal == 5 | 0x80:
        call = entered(pid)
        if pid == sized and call:
            # It has gone on: the listener is taken.
            sized = None
            if slow: ptrace(SYSCALL, slow)
            slow = None
            print(json.dumps({"instructions": instructions}), flush=True)
        elif call and call[0] == SECCOMP and call[1] == GET_NOTIF_SIZES: sized = pid
        elif call and call[0] == SECCOMP and call[1] == SET_MODE_FILTER and call[2] & NEW_LISTENER: listening.add(pid)
        elif not call and pid in listening:
            listening.discard(pid)
            slow = pid
            continue
        ptrace(SYSCALL, pid)
        continue
    # An instruction was made.
    if pid == slow and signal == 5 and not event: continue
    ptrace(CONT if pid in plain else SYSCALL, pid, 0, 0 if event or signal == 5 else signal)
