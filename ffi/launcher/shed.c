/*
 * What protects the server and is not for its commands: all of it would be inherited. A server that the kernel spares when memory
 * is short, or that runs before everything else, would start commands that are spared and run before everything else.
 */
#include <linux/fcntl.h>
#include <linux/resource.h>
#include <linux/sched.h>

#include "launcher.h"

/* ioprio_set(2); <linux/ioprio.h> is younger than some headers that this is built with. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_CLASS_RT 1
#define IOPRIO_CLASS_BE 2
#define IOPRIO_BE_NORM 4
#define PRIO_PROCESS 0
/* What the kernel gives init. More breaks programs that use select(2), and the server's runtime raises its own. */
#define USUAL_FILES 1024

/* A score above zero only makes a victim more likely, and stays: proc_pid_oom_score_adj(5). */
static long be_killable(void)
{
	char first = 0;
	at = "/proc/self/oom_score_adj";
	long fd = SYS4(__NR_openat, AT_FDCWD, at, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long r = SYS3(__NR_read, fd, &first, 1);
	SYS1(__NR_close, fd);
	return r > 0 && first == '-' ? write_text(at, "0") : r;
}

static long run_as_others(int keep_nice)
{
	at = "scheduling policy";
	long r = SYS1(__NR_sched_getscheduler, 0);
	if (r == SCHED_FIFO || r == SCHED_RR || r == (SCHED_FIFO | SCHED_RESET_ON_FORK) || r == (SCHED_RR | SCHED_RESET_ON_FORK)) {
		int priority = 0;
		r = SYS3(__NR_sched_setscheduler, 0, SCHED_NORMAL, &priority);
	}
	if (r < 0)
		return r;
	at = "nice value";
	/* The system call gives 20 - nice. */
	r = keep_nice ? 0 : SYS2(__NR_getpriority, PRIO_PROCESS, 0);
	if (r > 20)
		r = SYS3(__NR_setpriority, PRIO_PROCESS, 0, 0);
	if (r < 0)
		return r;
	at = "i/o priority";
	r = SYS2(__NR_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	long class = r >> IOPRIO_CLASS_SHIFT;
	if (r > 0 && (class == IOPRIO_CLASS_RT || (class == IOPRIO_CLASS_BE && (r & 7) < IOPRIO_BE_NORM)))
		r = SYS3(__NR_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
	/* A kernel without block devices has no such call. */
	return r == -38 /* ENOSYS */ ? 0 : r;
}

static long open_usual_files(void)
{
	struct rlimit64 limit;
	at = "nofile";
	long r = SYS4(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, &limit);
	if (r < 0 || limit.rlim_cur <= USUAL_FILES)
		return r;
	limit.rlim_cur = USUAL_FILES;
	return SYS4(__NR_prlimit64, 0, RLIMIT_NOFILE, &limit, 0);
}

/* As proc_pid_personality(5) has it: eight digits. */
static int is_usual(void)
{
	char digits[8];
	long fd = SYS4(__NR_openat, AT_FDCWD, "/proc/self/personality", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	long got = SYS3(__NR_read, fd, digits, sizeof digits);
	SYS1(__NR_close, fd);
	for (long i = 0; i < got; i++)
		if (digits[i] != '0')
			return 0;
	return got == sizeof digits;
}

/* Randomised addresses, whatever a debugger of the server had turned off: personality(2). */
static long be_usual(void)
{
	at = "personality";
	/* A filter may deny even what would change nothing. */
	if (SYS1(__NR_personality, 0xffffffff) == 0)
		return 0;
	long r = SYS1(__NR_personality, 0);
	return r < 0 && is_usual() ? 0 : r;
}

/* `keep_nice`: the plan sets the nice value, from which an ordinary user could not come back. */
long shed_protection(int keep_nice)
{
	long r = be_killable();
	if (r >= 0)
		r = run_as_others(keep_nice);
	if (r >= 0)
		r = open_usual_files();
	return r < 0 ? r : be_usual();
}
