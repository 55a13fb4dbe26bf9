/*
 * The process the server started. It makes the namespaces, writes the id maps from outside, waits for the command, and sees to
 * it that nothing of the tree outlives the command, the server or itself.
 */
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "launcher.h"

#define AF_UNIX 1
#define SOL_SOCKET 1
#define SO_PASSCRED 16
#define SOCK_SEQPACKET 5
#define SOCK_CLOEXEC 02000000
#define SCM_CREDENTIALS 2
#define WNOHANG_FLAG 1
#define SIGCONT 18

const char *at = "";

struct shared *shared;

void report(const struct record *record)
{
	SYS3(__NR_write, FD_STATUS, record, sizeof *record);
}

void describe_failure(struct record *record, u32 op, const char *what, long error)
{
	memset(record, 0, sizeof *record);
	record->kind = RECORD_FAILED;
	record->op = op;
	record->error = (i32)-error;
	for (usize i = 0; what[i] && i < sizeof record->what - 1; i++)
		record->what[i] = what[i];
}

void fail(u32 op, const char *what, long error)
{
	struct record record;
	describe_failure(&record, op, what, error);
	report(&record);
	leave(125);
}

void path_of(char *path, long pid, const char *file)
{
	memcpy(path, "/proc/", 6);
	decimal(path + 6, pid);
	memcpy(path + length(path), file, length(file) + 1);
}

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

/* One message of the child, with its pid as seen from here. 0 at the end, which is exec. */
static long receive(int channel, struct record *record, u32 *pid)
{
	struct {
		usize length;
		int level, type;
		u32 pid, uid, gid, padding;
	} control;
	struct {
		void *base;
		usize length;
	} part = { record, sizeof *record };
	struct {
		void *name;
		u32 name_length, pad;
		void *parts;
		usize count;
		void *control;
		usize control_length;
		u32 flags, pad2;
	} message = { 0, 0, 0, &part, 1, &control, sizeof control, 0, 0 };
	long r = SYS3(__NR_recvmsg, channel, &message, 0x40 /* MSG_DONTWAIT */);
	if (r > 0 && message.control_length >= 28 && control.type == SCM_CREDENTIALS)
		*pid = control.pid;
	return r;
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

/* A fork into new namespaces and, unless it is -1, into that group: clone3(2). */
static long make_child(u32 flags, int group)
{
	struct clone_args args;
	if (group < 0)
		return SYS5(__NR_clone, flags | 17 /* SIGCHLD */, 0, 0, 0, 0);
	memset(&args, 0, sizeof args);
	args.flags = (u64)flags | CLONE_INTO_CGROUP;
	args.exit_signal = 17;
	args.cgroup = (u32)group;
	return SYS2(__NR_clone3, &args, sizeof args);
}

struct task {
	long main;    /* child of the supervisor: the command, or the init of its pid namespace */
	u32 pid;      /* the command */
	int channel;  /* messages of the child; ends with exec */
	int exits;    /* the namespace's init tells how the command ended */
	int own_pids; /* there is a pid namespace */
	int failed;
	int group;    /* fd of the tree's cgroup, or -1 */
	int pidfd;    /* of the command: a signal can never reach another process that got its number */
	struct listener listener;
};

/* A byte from the server is a signal for the command, with GROUP set for its whole process group. */
static void send_signal(struct task *task, u8 order)
{
	if (order == WAKE) {
		/* Of a command that runs, only the init of its namespace: it has asked for no signal. */
		if (task->own_pids || task->channel >= 0)
			SYS2(__NR_kill, task->main, SIGCONT);
		if (task->channel >= 0 && task->pidfd >= 0)
			SYS4(__NR_pidfd_send_signal, task->pidfd, SIGCONT, 0, 0);
		return;
	}
	if (task->pidfd < 0 || SYS4(__NR_pidfd_send_signal, task->pidfd, order & GROUP ? 0 : order, 0, 0) < 0)
		return;
	if (order & GROUP)
		SYS2(__NR_kill, -(long)task->pid, order & ~GROUP);
}

/* Passes a failure on, or says that the command runs. */
static void listen_to(struct task *task)
{
	struct record record;
	u32 pid = 0;
	while (task->channel >= 0) {
		long r = receive(task->channel, &record, &pid);
		if (r == -11 /* EAGAIN */)
			return;
		if (r > 0) {
			task->pid = pid;
			if (task->pidfd < 0)
				task->pidfd = (int)SYS2(__NR_pidfd_open, pid, 0);
			task->listener.awaited = record.kind == LISTENER_COMES;
			continue;
		}
		/* Every copy of the child's end is closed: it has executed the command, or failed, or died on the way. */
		SYS1(__NR_close, task->channel);
		task->channel = -1;
		if (shared->stage != EXECUTING) {
			if (shared->stage != FAILED)
				describe_failure(&shared->failure, OP_CLONE, "killed before exec", 0);
			task->failed = 1;
			report(&shared->failure);
			return;
		}
		if (task->pidfd < 0)
			task->pidfd = (int)SYS2(__NR_pidfd_open, task->pid, 0);
		memset(&record, 0, sizeof record);
		record.kind = RECORD_STARTED;
		record.pid = task->pid;
		report(&record);
	}
}

/* Between two rounds of the sweep: only the deaths just caused are waited for. */
struct nap {
	long seconds, nanoseconds;
};
#define NAP ((struct nap){ 0, 1000000 })
#define SOON ((struct nap){ 0, 100000 })

static int swept(const struct task *task)
{
	if (!sweep(task->group))
		return 0;
	long pid;
	while ((pid = SYS4(__NR_wait4, -1, 0, WNOHANG_FLAG, 0)) > 0)
		;
	return pid == -10 /* ECHILD */;
}

/* The command ended: empty the tree, then tell. */
__attribute__((noreturn)) static void finish(struct task *task, int status, const struct rusage *usage)
{
	struct record record;
	listen_to(task);
	memset(&record, 0, sizeof record);
	if (!task->own_pids || SYS3(__NR_read, task->exits, &record, sizeof record) != sizeof record) {
		record.status = (u32)status;
		record.maxrss = (u32)usage->ru_maxrss;
		record.user = (u64)usage->ru_utime.tv_sec * 1000000 + (u64)usage->ru_utime.tv_usec;
		record.system = (u64)usage->ru_stime.tv_sec * 1000000 + (u64)usage->ru_stime.tv_usec;
	}
	while (!swept(task))
		SYS2(__NR_nanosleep, &NAP, 0);
	record.kind = RECORD_ENDED;
	record.pid = task->pid;
	if (!task->failed) {
		tell_calls(&task->listener, &record);
		report(&record);
	}
	leave(0);
}

static void reap(struct task *task)
{
	for (;;) {
		struct rusage usage;
		int status;
		long pid = SYS4(__NR_wait4, -1, &status, WNOHANG_FLAG, &usage);
		if (pid <= 0)
			return;
		if (pid == task->main)
			finish(task, status, &usage);
	}
}

__attribute__((noreturn)) static void watch(struct task *task, int signals)
{
	int lifeline = FD_LIFELINE;
	for (;;) {
		if (task->listener.awaited)
			take_listener(&task->listener, task->pidfd, task->main);
		struct pollfd polled[4] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = task->channel, .events = POLLIN },
			{ .fd = lifeline, .events = POLLIN },
			{ .fd = task->listener.fd, .events = POLLIN },
		};
		/* What the sweep kills wakes nobody, and what the child leaves in the shared page neither. */
		long r = SYS5(__NR_ppoll, polled, 4, lifeline < 0 ? &NAP : task->listener.awaited ? &SOON : 0, 0, 8);
		if (r < 0) {
			/* EINVAL: a command of this user has taken the descriptors away, by prlimit(2). Who cannot be watched is ended. */
			lifeline = signals = -1;
			SYS2(__NR_nanosleep, &NAP, 0);
		}
		if (polled[1].revents)
			listen_to(task);
		if (polled[2].revents) {
			u8 order;
			if (SYS3(__NR_read, lifeline, &order, 1) == 1) {
				send_signal(task, order);
			} else {
				/* The server is gone or wants the tree dead. From here on only the sweep says when to reap. */
				lifeline = signals = -1;
			}
		}
		if (polled[3].revents)
			serve_listener(&task->listener, polled[3].revents, task->pid, task->main);
		if (polled[0].revents && signals >= 0) {
			char info[128];
			SYS3(__NR_read, signals, info, sizeof info);
			reap(task);
		}
		if (lifeline < 0 && sweep(task->group))
			reap(task);
	}
}

void supervise(const struct header *plan, char **argv, char **envp)
{
	struct task task = {
		.channel = -1,
		.exits = -1,
		.pidfd = -1,
		.group = -1,
		.listener = { .fd = -1, .program = find_op(plan, OP_VERDICTS) },
	};
	int channel[2], exits[2] = { -1, -1 };
	u64 chld = 1ull << (17 - 1), all = ~0ull;

	const struct op *net = find_op(plan, OP_JOIN_NET);
	int waits = find_op(plan, OP_WAIT) != 0;
	int group = FD_CGROUP + waits;
	/* Where the plan demands a group and there is none, the missing fd is the failure. */
	if (!find_op(plan, OP_CGROUP) && SYS2(__NR_fcntl, group, F_GETFD) < 0)
		group = -1;
	int last_fd = group >= 0 ? group : FD_LIFELINE + waits;

	long r = SYS3(__NR_close_range, last_fd + 1, ~0u, 0);
	if (r < 0)
		fail(OP_CLONE, "close_range", r);
	/* One by one: before 5.11, close_range(2) cannot. */
	for (int fd = FD_PLAN; fd <= last_fd; fd++) {
		r = SYS3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
		if (r < 0)
			fail(OP_CLONE, "close-on-exec", r);
	}
	SYS0(__NR_setsid);
	/* Only the lifeline ends this process early: no signal of a terminal or a group may. */
	SYS4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, 8);
	SYS5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	/* The session keyring would come along with its keys, whoever they belong to: session-keyring(7). */
	long ring = SYS2(__NR_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0);
	if (ring < 0 && ring != -38 /* ENOSYS */)
		fail(OP_CLONE, "session keyring", ring);
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
		r = r < 0 && r > -4096 ? r : 0;
	}
	long signals = r < 0 ? r : SYS4(__NR_signalfd4, -1, &chld, 8, O_CLOEXEC);
	if (signals < 0)
		fail(OP_CLONE, "", signals);

	/* Without a user namespace there is nothing to wait for. */
	if (!(plan->clone_flags & CLONE_NEWUSER))
		SYS3(__NR_write, channel[0], "", 1);
	task.main = make_child(plan->clone_flags, group);
	if (task.main < 0)
		fail(OP_CLONE, "", task.main);
	if (task.main == 0) {
		SYS1(__NR_close, channel[0]);
		SYS3(__NR_close_range, FD_STATUS, FD_LIFELINE, 0);
		if (group >= 0)
			SYS1(__NR_close, group);
		child(plan, channel[1], exits[1], argv, envp);
	}
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
	/* stdout and stderr belong to the command alone: its closing them must be seen. */
	SYS3(__NR_close_range, 0, 2, 0);

	for (const struct op *op = first_op(plan); !is_last(plan, op); op = next_op(op)) {
		if (op->code == OP_GID_MAP && op->numbers[0])
			write_file(task.main, "/setgroups", "deny", op->code);
		if (op->code == OP_UID_MAP || op->code == OP_GID_MAP)
			write_file(task.main, op->code == OP_UID_MAP ? "/uid_map" : "/gid_map", op_data(op), op->code);
	}
	/* Not before: an undumpable process cannot open its own child's maps as an ordinary user. */
	SYS5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
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
