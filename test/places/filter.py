"""filter.py RULES COMMAND...: the command under a seccomp filter of the machine's own ABI. RULES are JSON, the first that fits answers:
{"nr": N, "errno": E} and, to ask an argument too, {"arg": I, "is": VALUE}, {"arg": I, "any": MASK}, {"arg": I, "all": MASK} or {"arg": I, "not": [VALUES]}.
The low 32 bits of an argument are looked at."""
import ctypes, json, os, struct, sys

LOAD, EQUAL, SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
libc = ctypes.CDLL(None, use_errno=True)


def program(rules):
    code = []
    for rule in rules:
        answer = (RETURN, 0, 0, ERRNO | rule["errno"])
        argument = (LOAD, 0, 0, 16 + 8 * rule.get("arg", 0))
        if "is" in rule:
            asked = [argument, (EQUAL, 0, 1, rule["is"]), answer]
        elif "any" in rule:
            asked = [argument, (SET, 0, 1, rule["any"]), answer]
        elif "all" in rule:
            asked = [argument, (AND, 0, 0, rule["all"]), (EQUAL, 0, 1, rule["all"]), answer]
        elif "not" in rule:
            count = len(rule["not"])
            asked = [argument, *((EQUAL, count - i, 0, value) for i, value in enumerate(rule["not"])), answer]
        else:
            asked = [answer]
        code += [(LOAD, 0, 0, 0), (EQUAL, 0, len(asked), rule["nr"]), *asked]
    return code + [(RETURN, 0, 0, ALLOW)]


def apply(rules):
    code = program(rules)
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
    prog = struct.pack("@HP", len(code), ctypes.addressof(filters))
    word = ctypes.c_ulong
    set_seccomp = lambda: libc.prctl(22, word(2), ctypes.c_char_p(prog), word(0), word(0))
    # As container runtimes and systemd do for root: no_new_privs only where it is needed.
    if set_seccomp() != 0:
        assert libc.prctl(38, word(1), word(0), word(0), word(0)) == 0  # PR_SET_NO_NEW_PRIVS
        assert set_seccomp() == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    apply(json.loads(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
