/*
 * Without a pid namespace, what a command leaves behind becomes a child of the supervisor (PR_SET_CHILD_SUBREAPER): a double
 * fork or a setsid does not escape, and killing a child hands its own children over. So the whole tree can be killed through
 * the supervisor's children alone, again and again until there is none.
 *
 * Why that ends, whatever the tree does meanwhile: as long as one child lives, none of the dead is reaped, and a zombie counts
 * for RLIMIT_NPROC and pids.max as a living process does. A child that is killed, or that forks and exits to get away, has
 * used up one of the places there are, for good; while anything of the tree lives, at least one of it is a child here, and
 * each lives no longer than until a round meets it or it exits. So after at most as many deaths as there are places
 * (nproc, pids.max, in the end pid_max), nothing is left that could fork. It does not matter who is faster, who runs, or
 * who stops and continues whom. SIGKILL also ends a fork(2) on its way, so what a round has met has no further child.
 *
 * That none lives is known when a round lists nothing but what was dead before it began: exit(2) hands over the children
 * before it makes the zombie, so an heir would have been on the list.
 *
 * Only children are signalled, and by a number that is theirs until they are reaped: never a process that got it later.
 */
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "launcher.h"

#define SIGKILL_NUMBER 9
#define ECHILD 10
#define PRIO_PROCESS 0
#define SEEK_SET 0
/* Of the dead that are not reaped: where no limit holds a tree that outruns us, it must not fill the machine with them. */
#define MOST_DEAD 16384

struct entry {
	u64 inode;
	u64 offset;
	u16 size;
	u8 type;
	char name[];
};

struct round {
	int alive, dead;
};

/* Numbers of other people's processes, which the list of all may bring, are told apart here. */
static void meet(struct round *round, long pid)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	if (SYS5(__NR_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, 0) < 0)
		return;
	/*
	 * What a child has made a leader of, it and its descendants are in, also when it has died: setsid(2) and setpgid(2) allow
	 * no others. So most of a tree goes at once; else the death of each generation would have to wait for the one before it.
	 */
	SYS2(__NR_kill, -pid, SIGKILL_NUMBER);
	if (info.si_pid) {
		round->dead++;
		return;
	}
	round->alive++;
	SYS2(__NR_kill, pid, SIGKILL_NUMBER);
}

/* Open from the start: commands of this process's user can forbid it any new descriptor, by prlimit(2). */
static long children, processes;

long prepare_sweep(void)
{
	children = SYS4(__NR_openat, AT_FDCWD, "/proc/thread-self/children", O_RDONLY | O_CLOEXEC, 0);
	if (children >= 0)
		return 0;
	processes = SYS4(__NR_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return processes < 0 ? processes : 0;
}

/* The children of this process as text, "12 345 6 ": proc_pid_children(5). */
static void meet_children(struct round *round)
{
	char text[1024];
	long got, pid = 0;
	SYS3(__NR_lseek, children, 0, SEEK_SET);
	while ((got = SYS3(__NR_read, children, text, sizeof text)) > 0) {
		for (long i = 0; i < got; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid) {
				meet(round, pid);
				pid = 0;
			}
		}
	}
}

/* On a kernel without CONFIG_PROC_CHILDREN. */
static void meet_all(struct round *round)
{
	/* Small: by the time that an entry's turn comes, its process may have made way for another. */
	char buffer[512] __attribute__((aligned(8)));
	long got;
	SYS3(__NR_lseek, processes, 0, SEEK_SET);
	while ((got = SYS3(__NR_getdents64, processes, buffer, sizeof buffer)) > 0) {
		for (long i = 0; i < got;) {
			struct entry *entry = (struct entry *)(buffer + i);
			i += entry->size;
			long pid = 0;
			const char *c = entry->name;
			while (*c >= '0' && *c <= '9')
				pid = pid * 10 + (*c++ - '0');
			if (*c == 0 && pid > 0)
				meet(round, pid);
		}
	}
}

static long write_to_group(int group, const char *file, const char *text)
{
	long fd = SYS4(__NR_openat, group, file, O_WRONLY | O_CLOEXEC, 0);
	long r = fd < 0 ? fd : SYS3(__NR_write, fd, text, length(text));
	if (fd >= 0)
		SYS1(__NR_close, fd);
	return r;
}

int group_spent;

int sweep(int group)
{
	struct round round = { 0, 0 };
	siginfo_t info;
	int dead;
	if (SYS5(__NR_waitid, P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT, 0) == -ECHILD)
		return 1;
	/* All of a group at once; before Linux 5.14 it is frozen, which SIGKILL overcomes. The rounds wait for the dead. */
	if (group >= 0) {
		group_spent = 1;
		if (write_to_group(group, "cgroup.kill", "1") < 0)
			write_to_group(group, "cgroup.freeze", "1");
	}
	/* Among thousands of its victims this process would rarely run; only a privileged one may ask for more. */
	SYS3(__NR_setpriority, PRIO_PROCESS, 0, -20);
	do {
		dead = round.dead;
		round.alive = round.dead = 0;
		if (children >= 0)
			meet_children(&round);
		else
			meet_all(&round);
	} while (!round.alive && round.dead != dead);
	return !round.alive || round.dead >= MOST_DEAD;
}
