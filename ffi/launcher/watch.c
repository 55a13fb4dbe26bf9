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

#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2
#define WNOHANG_FLAG 1
#define SIGKILL 9
#define SIGCONT 18
#define EPERM 1
#define EINVAL 22
#define EMFILE 24
#define ENOSYS 38

/* With one of the child: its pid as seen from here, and what descriptors came along, two at most. */
struct sender {
	u32 pid;
	int fds[2];
	usize count;
};

/* Length, level and type of a part of the control data. */
struct part {
	usize length;
	int level, type;
};

/* One message of the child. 0 at the end, which is exec. */
static long receive(int channel, struct record *record, struct sender *sender)
{
	u64 control[16];
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
	} message = { 0, 0, 0, &part, 1, control, sizeof control, 0, 0 };
	long r = SYS3(__NR_recvmsg, channel, &message, 0x40 | 0x40000000 /* MSG_DONTWAIT | MSG_CMSG_CLOEXEC */);
	sender->count = 0;
	if (r <= 0)
		return r;
	for (usize i = 0; i + sizeof(struct part) <= message.control_length;) {
		const struct part *head = (const struct part *)((const char *)control + i);
		const int *data = (const int *)(head + 1);
		if (head->length < sizeof *head || head->length > message.control_length - i)
			break;
		if (head->type == SCM_CREDENTIALS)
			sender->pid = (u32)data[0];
		for (usize n = 0; head->type == SCM_RIGHTS && n < (head->length - sizeof *head) / sizeof *data; n++) {
			if (sender->count < 2)
				sender->fds[sender->count++] = data[n];
			else
				SYS1(__NR_close, data[n]);
		}
		i += (head->length + 7) & ~(usize)7;
	}
	return r;
}

/* Without its terminal nobody would get what the command prints: it waits for this word before it goes on. */
static void take(struct task *task, const struct record *record, struct sender *sender)
{
	int wanted = record->kind == TERMINAL_COMES && task->terminal.master < 0;
	if (wanted && sender->count == 2) {
		take_terminal(&task->terminal, sender->fds);
		task->terminal.flow = DRY;
		SYS3(__NR_write, task->channel, "", 1);
		return;
	}
	while (sender->count > 0)
		SYS1(__NR_close, sender->fds[--sender->count]);
	if (record->kind != TERMINAL_COMES)
		return;
	describe_failure(&shared->failure, OP_PTY, "pty", wanted ? -EMFILE : -EINVAL);
	shared->stage = FAILED;
	SYS2(__NR_kill, task->main, SIGKILL);
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
	struct sender sender = { .pid = 0 };
	while (task->channel >= 0) {
		long r = receive(task->channel, &record, &sender);
		if (r == -11 /* EAGAIN */)
			return;
		if (r > 0) {
			task->pid = sender.pid;
			if (task->pidfd < 0)
				task->pidfd = hold(sender.pid);
			take(task, &record, &sender);
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
	if (!task->own_pids || SYS3(__NR_read, task->exits, &record, sizeof record) != sizeof record)
		describe_end(&record, status, usage);
	while (!swept(task))
		SYS2(__NR_nanosleep, &NAP, 0);
	record.kind = RECORD_ENDED;
	record.pid = task->pid;
	record.what[0] = (char)group_spent;
	if (!task->failed) {
		tell_calls(&task->listener, &record);
		report(&record);
		/* Where the server is on this processor, it goes first: to take this process apart takes as long as its reply. */
		SYS0(__NR_sched_yield);
		/* The end is told by now; who reads the output may take longer. */
		SYS1(__NR_close, FD_STATUS);
		relay_rest(&task->terminal);
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
		enum flow flow = task->terminal.flow;
		if (flow != OVER)
			flow = relay_some(&task->terminal);
		struct pollfd polled[5] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = task->channel, .events = POLLIN },
			{ .fd = lifeline, .events = POLLIN },
			{ .fd = task->listener.fd, .events = POLLIN },
			{ .fd = flow == FULL ? 1 : task->terminal.master, .events = flow == FULL ? POLLOUT : POLLIN },
		};
		/* What the sweep kills wakes nobody, and what the child leaves in the shared page neither. */
		long r = SYS5(__NR_ppoll, polled, 5, lifeline < 0 ? &NAP : task->listener.awaited ? &SOON : 0, 0, 8);
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
