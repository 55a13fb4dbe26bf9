/* The process the server started: it makes the namespaces and the child, and writes the id maps from outside. watch.c goes on. */
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "launcher.h"

#define EPERM 1
#define ECHILD 10
#define ENOSYS 38
#define AF_UNIX 1
#define SOL_SOCKET 1
#define SO_PASSCRED 16
#define SOCK_SEQPACKET 5
#define SOCK_CLOEXEC 02000000

static void write_file(long pid, const char *file, const char *text, u32 op)
{
	char path[48];
	path_of(path, pid, file);
	long fd = SYS4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	long r = fd < 0 ? fd : SYS3(__NR_write, fd, text, length(text));
	if (r < 0)
		fail(op, file, r);
	SYS1(__NR_close, fd);
}

static void join_net(const struct op *op)
{
	const char *path = op_data(op);
	long fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long r = fd < 0 ? fd : SYS2(__NR_setns, fd, CLONE_NEWNET);
	if (r < 0)
		fail(op->code, path, r);
	SYS1(__NR_close, fd);
}

static long fork_into(u32 flags)
{
	return SYS1(__NR_clone, flags | 17 /* SIGCHLD */);
}

/*
 * A fork into new namespaces and, unless it is -1, into that group: clone3(2). Filters that cannot look into its arguments deny
 * it: then *procs is the list of the group, on which the child is to be put before it may go on.
 */
static long make_child(u32 flags, int group, long *procs)
{
	struct clone_args args;
	if (group < 0)
		return fork_into(flags);
	memset(&args, 0, sizeof args);
	args.flags = (u64)flags | CLONE_INTO_CGROUP;
	args.exit_signal = 17;
	args.cgroup = (u32)group;
	long r = SYS2(__NR_clone3, &args, sizeof args);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	*procs = SYS4(__NR_openat, group, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0);
	return *procs < 0 ? *procs : fork_into(flags);
}

/* By this process: the group may lie outside of the child's cgroup namespace. */
static void put_on_list(long procs, long pid)
{
	char number[24];
	decimal(number, pid);
	long r = SYS3(__NR_write, procs, number, length(number));
	if (r < 0)
		fail(OP_CLONE, "cgroup.procs", r);
	SYS1(__NR_close, procs);
}

void supervise(const struct header *plan, char **argv, char **envp)
{
	struct task task = {
		.channel = -1,
		.exits = -1,
		.pidfd = -1,
		.group = -1,
		.listener = { .fd = -1, .program = find_op(plan, OP_VERDICTS) },
		.terminal = { .master = -1, .slave = -1 },
	};
	int channel[2], exits[2] = { -1, -1 };
	u64 chld = 1ull << (17 - 1) /* SIGCHLD */, all = ~0ull;

	const struct op *net = find_op(plan, OP_JOIN_NET);
	int waits = find_op(plan, OP_WAIT) != 0;
	if (waits)
		note_standing();
	int group = FD_CGROUP + waits;
	/* Where the plan demands a group and there is none, the missing fd is the failure. */
	if (!find_op(plan, OP_CGROUP) && SYS2(__NR_fcntl, group, F_GETFD) < 0)
		group = -1;
	int last_fd = group >= 0 ? group : FD_LIFELINE + waits;

	long r = close_fds((u32)last_fd + 1, ~0u);
	if (r < 0)
		fail(OP_CLONE, "close_range", r);
	/* One by one: before 5.11, close_range(2) cannot. */
	for (int fd = FD_PLAN; fd <= last_fd; fd++) {
		r = SYS3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
		if (r < 0)
			fail(OP_CLONE, "close-on-exec", r);
	}
	r = SYS0(__NR_setsid);
	if (r < 0)
		fail(OP_CLONE, "setsid", r);
	/* Only the lifeline ends this process early: no signal of a terminal or a group may. */
	SYS4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, 8);
	r = SYS2(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1);
	if (r < 0)
		fail(OP_CLONE, "subreaper", r);
	/* Who could not reap would never see the end of its tree. */
	r = SYS4(__NR_wait4, -1, 0, WNOHANG, 0);
	if (r != -ECHILD)
		fail(OP_CLONE, "wait4", r);
	r = leave_session_keyring(find_op(plan, OP_NO_NEW_PRIVS) != 0);
	if (r < 0)
		fail(OP_CLONE, "session keyring", r);
	if (net)
		join_net(net);

	int one = 1;
	r = SYS4(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel);
	if (r >= 0)
		r = SYS5(__NR_setsockopt, channel[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
	task.own_pids = (plan->clone_flags & CLONE_NEWPID) != 0;
	if (r >= 0 && task.own_pids)
		r = SYS2(__NR_pipe2, exits, O_CLOEXEC);
	if (r >= 0) {
		r = SYS6(__NR_mmap, 0, 4096, 3 /* READ | WRITE */, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, -1, 0);
		shared = (struct shared *)r;
		r = r < 0 && r > -4096 ? r : share_places(plan);
	}
	long signals = r < 0 ? r : SYS4(__NR_signalfd4, -1, &chld, 8, O_CLOEXEC);
	if (signals < 0)
		fail(OP_CLONE, "", signals);

	long procs = 0;
	task.main = make_child(plan->clone_flags, group, &procs);
	if (task.main < 0)
		fail(OP_CLONE, procs < 0 ? "cgroup.procs" : "", task.main);
	if (task.main == 0) {
		SYS1(__NR_close, channel[0]);
		close_fds(FD_STATUS, FD_LIFELINE);
		if (group >= 0)
			SYS1(__NR_close, group);
		if (procs > 0)
			SYS1(__NR_close, procs);
		child(plan, channel[1], exits[1], argv, envp);
	}
	if (procs > 0)
		put_on_list(procs, task.main);
	/* Without a user namespace there is nothing else to wait for. */
	if (!(plan->clone_flags & CLONE_NEWUSER))
		SYS3(__NR_write, channel[0], "", 1);
	task.group = group;
	/* Only the child reads there. */
	if (waits)
		SYS1(__NR_close, FD_WORDS);
	task.pid = (u32)task.main;
	task.channel = channel[0];
	task.exits = exits[0];
	SYS1(__NR_close, channel[1]);
	if (exits[1] >= 0)
		SYS1(__NR_close, exits[1]);
	/* stdout and stderr belong to the command alone: its closing them must be seen. With a terminal they are its own, and
	   what comes from there goes to stdout. */
	SYS1(__NR_close, 0);
	close_fds(find_op(plan, OP_PTY) ? 2 : 1, 2);

	for (const struct op *op = first_op(plan); !is_last(plan, op); op = next_op(op)) {
		if (op->code == OP_GID_MAP && op->numbers[0])
			write_file(task.main, "/setgroups", "deny", op->code);
		if (op->code == OP_UID_MAP || op->code == OP_GID_MAP)
			write_file(task.main, op->code == OP_UID_MAP ? "/uid_map" : "/gid_map", op_data(op), op->code);
	}
	r = find_places(plan);
	if (r < 0)
		fail(OP_BIND, at, r);
	/* Not before: an undumpable process cannot open its own child's maps as an ordinary user. */
	SYS2(__NR_prctl, PR_SET_DUMPABLE, 0);
	if (plan->clone_flags & CLONE_NEWUSER)
		SYS3(__NR_write, task.channel, "", 1);
	/* Held until this process has told the end: the kernel then takes the mounts apart when nobody waits. */
	if (plan->clone_flags & CLONE_NEWNS) {
		char path[48];
		path_of(path, task.main, "/ns/mnt");
		SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	}
	r = prepare_sweep();
	if (r < 0)
		fail(OP_CLONE, "/proc", r);
	watch(&task, (int)signals);
}
