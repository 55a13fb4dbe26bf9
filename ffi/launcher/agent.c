/*
 * The agent of a server: a process that was started once and forks supervisors, so that the server itself never forks, executes or
 * waits. It is nobody's parent: what it makes are children of the server (CLONE_PARENT, clone(2)), which adopts what they leave behind,
 * and for which nothing changes when the agent dies. It keeps nothing between two messages.
 *
 * No launch waits for the fork: the next supervisor is made ahead, and it is that which waits for the message. As soon as it has one,
 * the agent makes another. Each is as bare as the agent is, and new: it gets one launch, and becomes its supervisor. Both are one
 * process group, of no other process, by which the server wakes and ends them. Where none can be made, the agent takes the next message
 * itself, and forks then; so it does on a single processor, where to make the next one holds up the launch before it.
 */
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/stat.h>

#include "launcher.h"

#define EPERM 1
#define EINTR 4
#define ENODEV 19
#define EINVAL 22
#define EMFILE 24
#define SIGCONT 18
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_CTRUNC 8
#define MSG_CMSG_CLOEXEC 0x40000000
#define PROT_READ_WRITE 3
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20

/* What comes with a message has these numbers or higher ones: those below are where a supervisor wants them. */
#define FIRST_SENT 16

struct iovec {
	void *base;
	usize length;
};
struct msghdr {
	void *name;
	u32 name_length;
	struct iovec *parts;
	usize part_count;
	void *control;
	usize control_length;
	int flags;
};
struct control {
	usize length;
	int level, type;
	int fds[AGENT_FDS];
};

#define PAGE 4096
/* Bytes of the stack that a launch comes to. */
#define STACK_AHEAD (2 * PAGE)

static char buffer[AGENT_MESSAGE] __attribute__((aligned(8)));
/* /proc/self/cmdline: in the processes made here, the name of their verb stands in the place of the agent's. */
static char *title;
static usize title_size;

static const int places[] = { 1, 2, FD_PLAN, FD_LIFELINE, FD_CGROUP, FD_CGROUP + 1 };
#define PLACES (sizeof places / sizeof *places)

/* The answer is a record on the status pipe, as a supervisor's own. */
static void refuse(const char *what, long error)
{
	struct record record;
	describe_failure(&record, OP_SPAWN, what, error);
	record.from = launch_number;
	SYS3(__NR_write, FD_STATUS, &record, sizeof record);
}

/* The parent of this process is that of the new one. */
static long fork_beside(void)
{
	return SYS1(__NR_clone, CLONE_PARENT | 17 /* SIGCHLD */);
}

static void name_process(const char *name)
{
	usize i = 0;
	for (; name[i] && i < title_size - 2; i++)
		title[i] = name[i];
	memset(title + i, 0, title_size - i);
	/* Where the last byte is not 0, the kernel takes all up to the first 0 for the whole: proc_pid_cmdline(5), setproctitle. */
	title[title_size - 1] = 1;
}

/* Words and variables as main() gets them, from strings one behind the other: the count of words is in the message. */
static char **table_of(char *text, usize size, u32 words, u32 variables)
{
	usize entries = (usize)words + variables + 2;
	long r = SYS6(__NR_mmap, 0, entries * sizeof(char *), PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r < 0 && r > -4096)
		fail(OP_SPAWN, "mmap", r);
	char **table = (char **)r;
	usize n = 0;
	for (usize i = 0; i < size && n < (usize)words + variables; i++)
		if (i == 0 || !text[i - 1]) {
			/* Behind the words is a 0. */
			table[n < words ? n : n + 1] = text + i;
			n++;
		}
	if (n != (usize)words + variables || (size && text[size - 1]))
		fail(OP_SPAWN, "layout", -EINVAL);
	return table;
}

/* Where the strings are too long for a message they are in a file. */
static char *text_in(int fd, usize size)
{
	long r = SYS6(__NR_mmap, 0, size, PROT_READ_WRITE, MAP_PRIVATE, fd, 0);
	if (r < 0 && r > -4096)
		fail(OP_SPAWN, "mmap", r);
	return (char *)r;
}

/* Opening /dev/stdout opens the pipe anew, which only its owner may. */
static void give_away(const struct agent_message *message)
{
	long r = 0;
	if (message->flags & AGENT_OWNS_INPUT)
		r = SYS3(__NR_fchown, 0, message->uid, message->gid);
	for (int fd = 1; r >= 0 && fd <= 2 && message->flags & AGENT_OWNS_OUTPUT; fd++)
		r = SYS3(__NR_fchown, fd, message->uid, message->gid);
	if (r < 0)
		fail(OP_OUTPUT, "fchown", r);
}

/* The new process: it is as if the server had executed it. */
__attribute__((noreturn)) static void become_supervisor(const struct agent_message *message, const int *fds, usize count)
{
	char *text = (char *)(message + 1);
	forget_standing();
	if (message->flags & AGENT_TEXT_APART)
		text = text_in(fds[--count], message->size);
	if (message->flags & AGENT_INPUT) {
		SYS3(__NR_dup3, *fds++, 0, 0);
		count--;
	} else {
		/* Its own: one that all had would be a way from one sandbox to another. */
		SYS1(__NR_close, 0);
		struct statx st;
		long r = SYS4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
		if (r < 0)
			fail(OP_SPAWN, "/dev/null", r);
		r = SYS5(__NR_statx, 0, "", AT_EMPTY_PATH, STATX_TYPE, &st);
		/* As where the plan is looked at, which is next: where it is denied, it is for both. */
		if (r < 0)
			fail(OP_PLAN_READ, "fstat", r);
		/* A file of that name would be such a way. */
		if ((st.stx_mode & S_IFMT) != S_IFCHR || st.stx_rdev_major != 1 || st.stx_rdev_minor != 3)
			fail(OP_SPAWN, "/dev/null", -ENODEV);
	}
	for (usize i = 0; i < count; i++)
		SYS3(__NR_dup3, fds[i], places[i], 0);
	give_away(message);
	/* What is not given is not there. */
	close_fds((u32)places[count - 1] + 1, FIRST_SENT - 1);
	char **argv = table_of(text, message->size, message->words, message->variables);
	name_process(argv[0] ? argv[0] : "");
	/* As an executed one is; the agent is not, see supervisor.c. */
	SYS2(__NR_prctl, PR_SET_DUMPABLE, 1);
	/* Who was stopped would not see that the server has died. */
	long r = SYS3(__NR_fcntl, FD_LIFELINE, F_SETSIG, SIGCONT);
	if (r >= 0)
		r = SYS3(__NR_fcntl, FD_LIFELINE, F_SETOWN, SYS0(__NR_getpid));
	if (r >= 0)
		r = SYS3(__NR_fcntl, FD_LIFELINE, F_SETFL, FASYNC);
	if (r < 0)
		fail(OP_SPAWN, "lifeline", r);
	begin(argv, argv + message->words + 1);
}

/* It may be killed before it can tell anything else. */
static void tell(long pid)
{
	struct record record;
	memset(&record, 0, sizeof record);
	record.kind = RECORD_SUPERVISES;
	record.from = launch_number;
	record.supervisor = (u32)pid;
	SYS3(__NR_write, FD_STATUS, &record, sizeof record);
}

/* @param agent where whoever was made ahead tells the agent that it is taken; -1: this is the agent */
static void launch(const struct agent_message *message, usize size, const int *fds, usize count, int agent)
{
	usize apart = message->flags & AGENT_TEXT_APART ? 1 : 0, more = apart + (message->flags & AGENT_INPUT ? 1 : 0);
	if (count < AGENT_LEAST_FDS + more || count > PLACES + more || (!apart && size - sizeof *message != message->size))
		return refuse("layout", -EINVAL);
	if (agent >= 0) {
		tell(SYS0(__NR_getpid));
		/* Closed with all that came with the message. */
		SYS3(__NR_write, agent, &message->wanted, sizeof message->wanted);
		become_supervisor(message, fds, count);
	}
	long pid = fork_beside();
	if (pid == 0)
		become_supervisor(message, fds, count);
	if (pid < 0)
		return refuse("launcher", pid);
	tell(pid);
}

u64 spared_processes;

/*
 * The server's runtime ends where it cannot make a thread. Of root's there is no limit; of another user some are left to it by all that
 * is made here: the hard limit, since a command may raise the other.
 */
static void spare_processes(void)
{
	struct rlimit64 limit;
	if (SYS0(__NR_geteuid) == 0 || SYS4(__NR_prlimit64, 0, RLIMIT_NPROC, 0, &limit) < 0 || limit.rlim_max == RLIM64_INFINITY)
		return;
	u64 part = limit.rlim_max / SPARED_PART, spared = part < SPARED_PROCESSES ? part : SPARED_PROCESSES;
	limit.rlim_max -= spared;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (SYS4(__NR_prlimit64, 0, RLIMIT_NPROC, &limit, 0) >= 0)
		spared_processes = spared;
}

/* In what is made here none drops again what no plan has. Whose server may not do that drops it in a namespace of its own, or not at
   all. */
static void keep_wanted(u64 wanted)
{
	if (bounding & ~wanted)
		keep_bounding(wanted);
}

/* Takes the next message. Returns when that has been made, or refused; in who was made ahead, only where it is still to be used. */
static void take_order(int agent)
{
	struct control control;
	struct iovec part = { buffer, sizeof buffer };
	struct msghdr message;
	memset(&message, 0, sizeof message);
	memset(&control, 0, sizeof control);
	message.parts = &part;
	message.part_count = 1;
	message.control = &control;
	message.control_length = sizeof control;
	long r = SYS3(__NR_recvmsg, FD_AGENT, &message, MSG_CMSG_CLOEXEC);
	if (r == -EINTR)
		return;
	if (r <= 0)
		leave(0);
	usize count = 0;
	if (message.control_length >= sizeof control - sizeof control.fds && control.level == SOL_SOCKET && control.type == SCM_RIGHTS)
		count = (control.length - (sizeof control - sizeof control.fds)) / sizeof *control.fds;
	const struct agent_message *order = (const struct agent_message *)buffer;
	if ((usize)r >= sizeof *order) {
		launch_number = order->number;
		/* What it makes has what it has, and a command of its user can change that: another agent has what the server has. */
		const char *changed = changed_standing();
		if (changed) {
			refuse(changed, -EPERM);
			leave(1);
		}
		/* What was dropped does not come back. */
		if (order->bounding & ~bounding) {
			refuse("bounding set", -EPERM);
			leave(1);
		}
		keep_wanted(order->wanted);
		if (message.flags & MSG_CTRUNC)
			refuse("descriptors", -EMFILE);
		else
			launch(order, (usize)r, control.fds, count, agent);
	}
	/* Arguments and variables may be secrets, and the next process has a copy of this memory. */
	memset(buffer, 0, (usize)r);
	for (usize i = 0; i < count; i++)
		SYS1(__NR_close, control.fds[i]);
}

/*
 * The first writes of a launch would be copies of pages: they are made now. In a function of its own, so that the stack is that which
 * the launch gets; its other end is where the title is.
 */
__attribute__((noinline)) static void warm_pages(void)
{
	volatile char stack[STACK_AHEAD];
	for (usize i = 0; i < sizeof stack; i += PAGE)
		stack[i] = 0;
	*(volatile char *)buffer = 0;
	*(volatile char *)title = *title;
}

/* The process that waits for the next message. */
__attribute__((noreturn)) static void wait_ahead(int agent)
{
	warm_pages();
	for (;;)
		take_order(agent);
}

/* Makes it, and waits until it has a message. @return 0 where it cannot be made */
static int make_ahead(void)
{
	int taken[2];
	if (SYS2(__NR_pipe2, taken, O_CLOEXEC) < 0)
		return 0;
	long pid = fork_beside();
	/* A supervisor closes both, as all that it does not know. */
	if (pid == 0)
		wait_ahead(taken[1]);
	SYS1(__NR_close, taken[1]);
	u64 wanted;
	long r = pid < 0 ? pid : SYS3(__NR_read, taken[0], &wanted, sizeof wanted);
	SYS1(__NR_close, taken[0]);
	if (pid < 0)
		return 0;
	/* The server has gone; or it was killed, perhaps with a message of which nobody knows: the server tells what was lost with both. */
	if (r != sizeof wanted)
		leave(0);
	keep_wanted(wanted);
	return 1;
}

void serve_launches(char *name, usize size)
{
	u64 all = ~0ull;
	title = name;
	title_size = size;
	/* Behind its own name there is nothing to see. */
	memset(title + length(title), 0, title_size - length(title));
	/* No command of the server's own user reads what passes here, nor takes its descriptors: ptrace(2). */
	SYS2(__NR_prctl, PR_SET_DUMPABLE, 0);
	/* It ends with its socket, and before that only by SIGKILL. */
	SYS4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, 8);
	close_fds(FD_STATUS + 1, ~0u);
	for (int fd = FD_STATUS + 1; fd < FIRST_SENT; fd++)
		SYS3(__NR_dup3, 0, fd, O_CLOEXEC);
	/* Stopped, it goes on at the next message, and when the server has died. */
	SYS3(__NR_fcntl, FD_AGENT, F_SETSIG, SIGCONT);
	long own = SYS0(__NR_getpid);
	spare_processes();
	note_standing();
	int leads = SYS2(__NR_setpgid, 0, 0) >= 0, ahead = leads && has_processors();
	SYS3(__NR_fcntl, FD_AGENT, F_SETOWN, leads ? -own : own);
	SYS3(__NR_fcntl, FD_AGENT, F_SETFL, FASYNC);
	for (;;)
		if (!ahead || !make_ahead())
			take_order(-1);
}
