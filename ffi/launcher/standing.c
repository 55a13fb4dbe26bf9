/*
 * What any process of the same user can change of one that waits, traceable or not: prlimit(2), setpriority(2),
 * sched_setattr(2), sched_setaffinity(2) and ioprio_set(2) ask for the user only. (/proc/PID/timerslack_ns asks for
 * CAP_SYS_NICE.) The rest, from memory policy to a core-scheduling cookie, needs the right to trace.
 *
 * It is noted while nobody but the server's user can change it, and compared before the command comes. Nothing is set back:
 * a hard limit that was lowered could not be, so what was changed is left, and the request is launched anew.
 */
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#include "launcher.h"

#define IOPRIO_WHO_PROCESS 1
#define FUTEX_WAKE 1
#define SIGKILL 9
/* struct sched_attr with uclamp, Linux 5.3. */
#define SCHED_ATTR_SIZE 56
/* Bits for as many processors as Linux can have. */
#define CPU_WORDS 128

static struct standing {
	struct rlimit64 limits[RLIM_NLIMITS];
	/* Policy, priority or nice value, reset on fork, utilization clamps, slice. */
	u64 scheduling[SCHED_ATTR_SIZE / 8];
	u64 cpus[CPU_WORDS];
	/* Of a real-time policy, the nice value for later. */
	long nice, io, slack;
} noted, now;
static int is_noted;

static void look(struct standing *s)
{
	for (u32 resource = 0; resource < RLIM_NLIMITS; resource++)
		SYS4(__NR_prlimit64, 0, resource, 0, &s->limits[resource]);
	SYS4(__NR_sched_getattr, 0, s->scheduling, sizeof s->scheduling, 0);
	SYS3(__NR_sched_getaffinity, 0, sizeof s->cpus, s->cpus);
	s->nice = SYS2(__NR_getpriority, PRIO_PROCESS, 0);
	s->io = SYS2(__NR_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	s->slack = SYS1(__NR_prctl, PR_GET_TIMERSLACK);
}

static int differs(const void *a, const void *b, usize size)
{
	const u64 *p = a, *q = b;
	for (usize i = 0; i < size / sizeof *p; i++)
		if (p[i] != q[i])
			return 1;
	return 0;
}

void note_standing(void)
{
	look(&noted);
	is_noted = 1;
}

int has_processors(void)
{
	u64 seen = 0;
	for (usize i = 0; i < CPU_WORDS; i++) {
		u64 word = noted.cpus[i];
		/* With its lowest bit taken away something is left, or was there before. */
		if (word && (seen || word & (word - 1)))
			return 1;
		seen |= word;
	}
	return 0;
}

void forget_standing(void)
{
	is_noted = 0;
}

const char *changed_standing(void)
{
	look(&now);
	if (differs(noted.limits, now.limits, sizeof now.limits))
		return "limits";
	if (differs(noted.scheduling, now.scheduling, sizeof now.scheduling) || noted.nice != now.nice)
		return "scheduling";
	if (differs(noted.cpus, now.cpus, sizeof now.cpus))
		return "processors";
	if (noted.io != now.io)
		return "i/o priority";
	return noted.slack != now.slack ? "timer slack" : 0;
}

static void refuse(const char *what, long tree)
{
	describe_failure(&shared->failure, OP_WAIT, what, -1 /* EPERM */);
	shared->stage = FAILED;
	SYS2(__NR_kill, tree, SIGKILL);
}

void check_supervisor(long tree)
{
	/* Nothing waits, or no longer. */
	if (!is_noted || shared->checked || shared->stage == FAILED)
		return;
	const char *changed = changed_standing();
	if (changed) {
		refuse(changed, tree);
		return;
	}
	shared->checked = 1;
	SYS3(__NR_futex, &shared->checked, FUTEX_WAKE, 1);
}

void check_words(long tree)
{
	struct pollfd order = { .fd = FD_LIFELINE, .events = POLLIN };
	long at_once[2] = { 0, 0 };
	/* It is refused already: what was told of that stays. */
	if (shared->checked || shared->stage == FAILED)
		return;
	/* The server writes the order first, so it is there by now. */
	if (SYS5(__NR_ppoll, &order, 1, at_once, 0, 8) != 1)
		refuse("words of somebody else", tree);
}
