/*
 * What the supervisor does while the command runs: it tells the server of its start and end, passes signals on, and sees to it
 * that nothing of the tree outlives the command, the server or itself.
 */
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "launcher.h"

#define SCM_CREDENTIALS 2
#define WNOHANG_FLAG 1
#define SIGCONT 18
#define EPERM 1
#define ENOSYS 38

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

/* A byte from the server is a signal for the command, with GROUP set for its whole process group. */
static void send_signal(struct task *task, u8 order)
{
	if (order == WAKE) {
		/* Of a command that runs, only the init of its namespace: it has asked for no signal. */
		if (task->own_pids || task->channel >= 0)
			SYS2(__NR_kill, task->main, SIGCONT);
		if (task->channel >= 0 && task->pidfd >= 0)
			SYS4(__NR_pidfd_send_signal, task->pidfd, SIGCONT, 0, 0);
		check_supervisor(task->main);
		return;
	}
	/* A child of this process keeps its number until it is reaped, which is the end of all. */
	if (task->pidfd < 0 && !task->own_pids)
		SYS2(__NR_kill, task->main, order & GROUP ? 0 : order);
	else if (task->pidfd < 0 || SYS4(__NR_pidfd_send_signal, task->pidfd, order & GROUP ? 0 : order, 0, 0) < 0)
		return;
	if (order & GROUP)
		SYS2(__NR_kill, -(long)task->pid, order & ~GROUP);
}

/*
 * A hold on a process: a pidfd or, where a filter does not know pidfd_open(2), its directory of /proc, which
 * pidfd_send_signal(2) takes as well.
 */
static int hold(u32 pid)
{
	long fd = SYS2(__NR_pidfd_open, pid, 0);
	if (fd == -ENOSYS || fd == -EPERM) {
		char path[48];
		path_of(path, pid, "");
		fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	}
	return (int)fd;
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
				task->pidfd = hold(pid);
			task->listener.awaited = record.kind == LISTENER_COMES;
			if (record.kind == WORDS_CAME)
				check_words(task->main);
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
			task->pidfd = hold(task->pid);
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

void watch(struct task *task, int signals)
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
