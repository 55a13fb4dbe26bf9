/*
 * The session keyring comes along at fork and exec with its keys, whoever they belong to: session-keyring(7). So the command gets
 * an empty one of its own. Filters of containers deny all calls of keyrings; they are around the command as well, which then can
 * neither see a key nor use one, and nothing is left to do. Where they deny only some, a filter of ours denies the others.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "launcher.h"

/* Their numbers follow each other in every ABI: add_key, request_key, keyctl. Those of x32 are those of x86_64 and a bit. */
#if defined(__x86_64__)
#define OTHER_ARCH AUDIT_ARCH_I386
#define OTHER_ADD_KEY 286
#define X32 0x40000000u
#else
#define OTHER_ARCH AUDIT_ARCH_ARM
#define OTHER_ADD_KEY 309
#define X32 0u
#endif

#define EPERM 1
#define EACCES 13
#define ENOSYS 38
#define JOIN_SESSION_KEYRING 1
/* In no list of keyctl(2). */
#define NO_OPERATION 0x7fff

static int is_denied(long r)
{
	return r == -EPERM || r == -EACCES || r == -ENOSYS;
}

/*
 * Without arguments each of these is refused for that reason, by who knows the call, and changes nothing. A filter that lets one
 * of them pass, such as reading, leaves something to protect.
 */
static int are_all_denied(void)
{
	static const u8 operations[] = { 0 /* GET_KEYRING_ID */, 2 /* UPDATE */, 3 /* REVOKE */,      4 /* CHOWN */,
					 5 /* SETPERM */,	 6 /* DESCRIBE */, 7 /* CLEAR */, 8 /* LINK */,
					 9 /* UNLINK */,	 10 /* SEARCH */, 11 /* READ */,   17 /* GET_SECURITY */ };
	if (!is_denied(SYS5(__NR_add_key, 0, 0, 0, 0, 0)) || !is_denied(SYS4(__NR_request_key, 0, 0, 0, 0)))
		return 0;
	for (usize i = 0; i < sizeof operations; i++)
		if (!is_denied(SYS5(__NR_keyctl, operations[i], 0, 0, 0, 0)))
			return 0;
	return is_denied(SYS5(__NR_keyctl, NO_OPERATION, 0, 0, 0, 0));
}

static long deny_all(int no_new_privs)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4 /* arch */),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OTHER_ARCH, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0 /* number */),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~X32),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_add_key, 0, 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_add_key + 2, 3, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_ADD_KEY, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, OTHER_ADD_KEY + 2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
	long r = SYS3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	if (r != -EACCES || !no_new_privs)
		return r;
	/* An ordinary user may do so once nothing can be gained by it; the command is to have that anyway. */
	r = SYS2(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1);
	return r < 0 ? r : SYS3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

long leave_session_keyring(int no_new_privs)
{
	long r = SYS2(__NR_keyctl, JOIN_SESSION_KEYRING, 0);
	if (!is_denied(r) || are_all_denied())
		return is_denied(r) ? 0 : r;
	return deny_all(no_new_privs) < 0 ? r : 0;
}
