/*
 * Inside the namespaces: do the steps in order, become the command. With a pid namespace this process is its init: it forks
 * at OP_FORK, and what is left of it only waits.
 */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "launcher.h"

#define SIGKILL 9

/* What the init of a pid namespace can do without: all capabilities, and to be one that a command of the same user could attach to. */
static long shed_powers(void)
{
	SYS2(__NR_prctl, PR_SET_DUMPABLE, 0);
	SYS2(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1);
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct nothing[2];
	memset(nothing, 0, sizeof nothing);
	return SYS2(__NR_capset, &head, nothing);
}

/*
 * The init of a pid namespace: no fd but the pipe on which it tells how the command ended (and locks). When it leaves, the kernel kills
 * what is left in the namespace.
 */
__attribute__((noreturn)) static void init(long command, int exit_pipe)
{
	SYS3(__NR_dup3, exit_pipe, 3, 0);
	close_fds(0, 2);
	close_fds(4, FIRST_KEPT_FD - 1);
	for (;;) {
		struct rusage usage;
		int status;
		long pid = SYS4(__NR_wait4, -1, &status, 0, &usage);
		if (pid != command && pid != -10 /* ECHILD */)
			continue;
		struct record record;
		describe_end(&record, pid == command ? status : SIGKILL, &usage);
		SYS3(__NR_write, 3, &record, sizeof record);
		leave(0);
	}
}

/* The step failed: the supervisor finds it in the shared page when this process has gone. */
__attribute__((noreturn)) static void give_up(u32 op, const char *what, long error)
{
	describe_failure(&shared->failure, op, what, error);
	__sync_synchronize();
	shared->stage = FAILED;
	leave(125);
}

/* What a process does of the plan: see FORK in layout.ts. */
enum role { ALONE, INIT, COMMAND };

static int is_mine(enum role role, u32 code)
{
	return role == ALONE || (role == INIT) == (code < OP_UNSHARE);
}

/* Splits off the command. Its first message carries its pid as the supervisor sees it (SO_PASSCRED, unix(7)). */
static long split(int channel, int *root_ready)
{
	*root_ready = (int)SYS2(__NR_eventfd2, 0, 02000000 /* EFD_CLOEXEC */);
	if (*root_ready < 0)
		give_up(OP_FORK, "eventfd", *root_ready);
	long pid = SYS1(__NR_clone, 17 /* SIGCHLD */);
	if (pid < 0)
		give_up(OP_FORK, "", pid);
	if (pid == 0) {
		struct record hello;
		memset(&hello, 0, sizeof hello);
		hello.kind = RECORD_STARTED;
		SYS3(__NR_write, channel, &hello, sizeof hello);
		SYS0(__NR_setsid);
	}
	return pid;
}

void child(const struct header *plan, int channel, int exit_pipe, char **argv, char **envp)
{
	char go;
	u64 one = 1;
	enum role role = ALONE;
	int waited = 0, root_ready = -1, waits = find_op(plan, OP_WAIT) != 0, noted = 0;
	long command = 0;
	/* The supervisor's death is ours. */
	SYS2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
	long session = SYS0(__NR_setsid);
	if (session < 0)
		give_up(OP_CLONE, "setsid", session);
	u64 no_signal = 0;
	SYS4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &no_signal, 0, 8);
	if (plan->clone_flags & CLONE_NEWUSER)
		bounding = ~0ull;
	/* The modes of the plan are meant exactly; UMASK sets the command's own. */
	SYS1(__NR_umask, 0);
	long shed = shed_protection(find_op(plan, OP_NICE) != 0);
	if (shed < 0)
		give_up(OP_INHERIT, at, shed);

	for (const struct op *op = first_op(plan);; op = next_op(op)) {
		if (!waited && (is_last(plan, op) || op->code >= OP_FORK)) {
			/* The supervisor says when the id maps are written; if it has died already, there is nobody to work for. */
			if (SYS3(__NR_read, channel, &go, 1) != 1)
				leave(1);
			waited = 1;
		}
		if (role == COMMAND && root_ready >= 0 && (is_last(plan, op) || op->code >= OP_NICE)) {
			if (SYS3(__NR_read, root_ready, &one, sizeof one) != sizeof one)
				leave(1);
			SYS1(__NR_close, root_ready);
			root_ready = -1;
		}
		if (is_last(plan, op))
			break;
		if (op->code < OP_BOUNDING || !is_mine(role, op->code))
			continue;
		if (op->code == OP_FORK) {
			command = split(channel, &root_ready);
			role = command > 0 ? INIT : COMMAND;
			continue;
		}
		/* From the change of user on, others of that user can change it. */
		if (waits && !noted && (op->code == OP_SETUID || op->code == OP_WAIT)) {
			note_standing();
			noted = 1;
		}
		if (op->code == OP_WAIT) {
			argv = await_words(FD_WORDS, channel, find_op(plan, OP_SECCOMP_LISTENER) != 0);
			if (!argv)
				give_up(OP_WAIT, "", -12 /* ENOMEM */);
			const char *changed = changed_standing();
			if (changed)
				give_up(OP_WAIT, changed, -1 /* EPERM */);
			continue;
		}
		if (op->code == OP_NO_NEW_PRIVS) {
			/* A change of credentials has cleared it: prctl(2). Where the parent is the namespace's init, it is void. */
			SYS2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
		}
		long r = op->code == OP_SECCOMP_LISTENER ? set_told_filter(op, channel) :
			 op->code == OP_PTY		? make_terminal(op, channel) :
							  do_step(plan, op);
		if (r < 0)
			give_up(op->code, at, r);
	}
	if (role == INIT) {
		/* Before the command goes on: of two that meet the same filter, one is to tell. */
		long r = shed_powers();
		if (r < 0)
			give_up(OP_CAPS, "init", r);
		SYS3(__NR_write, root_ready, &one, sizeof one);
		init(command, exit_pipe);
	}
	shared->stage = EXECUTING;
	/* A trial: all of it could be had. */
	if (!argv[1])
		leave(0);
	long r = SYS3(__NR_execve, argv[1], argv + 1, envp);
	give_up(OP_EXEC, argv[1], r);
}
