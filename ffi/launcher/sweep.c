/*
 * Without a pid namespace, what a command leaves behind becomes a child of the supervisor (PR_SET_CHILD_SUBREAPER): a double
 * fork or a setsid does not escape. Killing a child hands its own children over, so repeat until none is left.
 */
#include <linux/fcntl.h>

#include "launcher.h"

#define SIGKILL 9
#define SIGSTOP 19
#define WNOHANG 1
#define ECHILD 10

struct entry {
	u64 inode;
	u64 offset;
	u16 size;
	u8 type;
	char name[];
};

/* The parent in /proc/PID/stat: the field after the state, which follows the last ')' (the name may hold anything). */
static char state;
static long parent_of(const char *pid)
{
	char path[32] = "/proc/", text[512];
	usize n = length(pid);
	if (n > 10)
		return -1;
	memcpy(path + 6, pid, n);
	memcpy(path + 6 + n, "/stat", 6);
	long fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	long got = SYS3(__NR_read, fd, text, sizeof text);
	SYS1(__NR_close, fd);
	long i = got - 1;
	while (i >= 0 && text[i] != ')')
		i--;
	if (i < 0)
		return -1;
	state = text[i + 2];
	long parent = 0;
	for (i += 4; i < got && text[i] >= '0' && text[i] <= '9'; i++)
		parent = parent * 10 + (text[i] - '0');
	return parent;
}

static int is_descendant(const char *pid, long self)
{
	char text[24];
	long parent = parent_of(pid);
	char own = state;
	/* A tree is rarely deep; a loop can only come of numbers used anew while we look. */
	for (int depth = 0; parent > 1 && depth < 4096; depth++) {
		if (parent == self)
			return own == 'T' || own == 'Z' || own == 'X' ? 1 : 2;
		decimal(text, parent);
		parent = parent_of(text);
	}
	return 0;
}

/* How many of them were not stopped yet. */
static int signal_descendants(int signal)
{
	char buffer[4096] __attribute__((aligned(8)));
	long self = SYS0(__NR_getpid);
	long proc = SYS4(__NR_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int running = 0;
	if (proc < 0)
		return 0;
	long got;
	while ((got = SYS3(__NR_getdents64, proc, buffer, sizeof buffer)) > 0) {
		for (long i = 0; i < got;) {
			struct entry *entry = (struct entry *)(buffer + i);
			i += entry->size;
			long pid = 0;
			const char *c = entry->name;
			while (*c >= '0' && *c <= '9')
				pid = pid * 10 + (*c++ - '0');
			int found = *c == 0 && pid > 0 ? is_descendant(entry->name, self) : 0;
			running += found == 2;
			if (found)
				SYS2(__NR_kill, pid, signal);
		}
	}
	SYS1(__NR_close, proc);
	return running;
}

int sweep(void)
{
	for (;;) {
		long pid = SYS4(__NR_wait4, -1, 0, WNOHANG, 0);
		if (pid == -ECHILD)
			return 1;
		if (pid == 0)
			break;
	}
	/* Stopped first: each death would make room, below a limit of processes, for what a fork bomb still has alive. */
	for (int round = 0; round < 100 && signal_descendants(SIGSTOP) > 0; round++)
		;
	signal_descendants(SIGKILL);
	return 0;
}
