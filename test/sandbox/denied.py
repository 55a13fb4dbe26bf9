"""denied.py NUMBER=ERRNO[,...] COMMAND...: the command under a filter that answers these system calls (x86_64, arm64) with an errno."""
import ctypes, os, struct, sys

rules = [pair.split("=") for pair in sys.argv[1].split(",")]
code = [(0x20, 0, 0, 0)]  # the number of the call
for number, errno in rules:
    code += [(0x15, 0, 1, int(number)), (0x06, 0, 0, 0x00050000 | int(errno))]
code += [(0x06, 0, 0, 0x7FFF0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
program = struct.pack("@HP", len(code), ctypes.addressof(filters))
libc = ctypes.CDLL(None, use_errno=True)
word = ctypes.c_ulong
assert libc.prctl(38, word(1), word(0), word(0), word(0)) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, word(2), ctypes.c_char_p(program), word(0), word(0)) == 0  # PR_SET_SECCOMP
os.execvp(sys.argv[2], sys.argv[2:])
