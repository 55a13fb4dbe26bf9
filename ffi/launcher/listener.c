/*
 * Calls that are told: the filter passes them to the supervisor, which does what the program of OP_VERDICTS says, and counts
 * them. See seccomp_unotify(2).
 *
 * Only registers decide, never memory that another thread could change meanwhile; and a call goes on (CONTINUE) only where the
 * filter as configured lets it go on too. Without the supervisor a told call fails with ENOSYS.
 */
#include <asm/ioctl.h>
#include <linux/audit.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/poll.h>
#include <linux/seccomp.h>

#include "launcher.h"

#define SIGKILL 9
#define SIGSYS 31
#define EPERM 1
#define ESRCH 3
#define E2BIG 7
#define EINVAL 22
#define ENOSYS 38
#define MAX_ERRNO 4095
/* Linux 5.19: once the supervisor looks at a call, a signal no longer makes it start over. */
#define WAIT_KILLABLE_RECV (1ul << 5)

/* With the direction it had before Linux 5.8, which every kernel takes. */
#define NOTIF_ID_VALID SECCOMP_IOR(2, u64)

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* The last of each counts what has a greater number, or one of another ABI: invented numbers cannot crowd out real ones. */
struct told_calls {
	u32 denied[TOLD_NUMBERS + 1], logged[TOLD_NUMBERS + 1];
	/* What ended the command. */
	int fatal, fatal_native;
	u32 fatal_number;
};

/* What the kernel of today writes, and room to grow. */
static union {
	struct seccomp_notif notification;
	char room[512];
} call;
static union {
	struct seccomp_notif_resp response;
	char room[128];
} answer;

/*
 * From the filter on, any call of this process may wait for an answer, so the descriptor is left in the shared page. The wait
 * for the supervisor is such a call too: to spin would keep it off the one processor that both may share, for ever under a
 * real-time policy. The server limits how long a launch may take.
 */
long set_told_filter(const struct op *op, int channel)
{
	struct sock_fprog program = {
		.len = (u16)(op->bytes / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)op_data(op),
	};
	struct record message;
	memset(&message, 0, sizeof message);
	message.kind = LISTENER_COMES;
	at = "";
	long r = SYS3(__NR_write, channel, &message, sizeof message);
	if (r < 0)
		return r;
	long fd = SYS3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE_RECV, &program);
	if (fd == -EINVAL)
		fd = SYS3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		return fd;
	shared->listener = (u32)fd + 1;
	while (!shared->taken)
		SYS0(HANDOVER_CALL);
	return 0;
}

void take_listener(struct listener *listener, int pidfd, long tree)
{
	static struct told_calls calls;
	struct seccomp_notif_sizes sizes;
	const char *what = "pidfd_getfd";
	if (!shared->listener)
		return;
	listener->awaited = 0;
	listener->calls = &calls;
	long r = SYS3(__NR_pidfd_getfd, pidfd, shared->listener - 1, 0);
	if (r >= 0) {
		listener->fd = (int)r;
		what = "sizes of notifications";
		r = SYS3(__NR_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
		if (r >= 0 && (sizes.seccomp_notif > sizeof call || sizes.seccomp_notif_resp > sizeof answer))
			r = -E2BIG;
	}
	if (r < 0) {
		/* It waits, and so goes no further than here. */
		describe_failure(&shared->failure, OP_SECCOMP_LISTENER, what, r);
		shared->stage = FAILED;
		SYS2(__NR_kill, tree, SIGKILL);
		return;
	}
	listener->call_size = sizes.seccomp_notif;
	shared->taken = 1;
}

/* The process of a thread, from /proc/TID/status; a newline in its name is escaped there. */
static u32 process_of(u32 thread)
{
	static const char key[] = "\nTgid:\t";
	char path[48], text[512];
	path_of(path, thread, "/status");
	long fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long got = fd < 0 ? 0 : SYS3(__NR_read, fd, text, sizeof text - 1);
	if (fd >= 0)
		SYS1(__NR_close, fd);
	text[got > 0 ? got : 0] = 0;
	for (const char *c = text; *c; c++) {
		usize n = 0;
		while (n < sizeof key - 1 && c[n] == key[n])
			n++;
		if (n < sizeof key - 1)
			continue;
		u32 process = 0;
		for (c += n; *c >= '0' && *c <= '9'; c++)
			process = process * 10 + (u32)(*c - '0');
		return process;
	}
	return 0;
}

/*
 * Ends the whole process of a thread that waits for an answer, and gives its number; 0 when the thread waits no more, as its
 * number may then be another's. As long as it waits it lives, and a descriptor that was opened before stands for its process.
 */
static u32 end_process(const struct listener *listener, u32 command, long tree)
{
	u32 process = call.notification.pid;
	/* Only the first thread of a process has its number. */
	long pidfd = SYS2(__NR_pidfd_open, process, 0);
	if (pidfd < 0) {
		process = process_of(process);
		pidfd = process > 0 ? SYS2(__NR_pidfd_open, process, 0) : -ESRCH;
	}
	if (SYS3(__NR_ioctl, listener->fd, NOTIF_ID_VALID, &call.notification.id) < 0) {
		process = 0;
	} else if (pidfd < 0) {
		SYS2(__NR_kill, tree, SIGKILL);
		process = command;
	} else {
		SYS4(__NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
	}
	if (pidfd >= 0)
		SYS1(__NR_close, pidfd);
	return process;
}

static void count(u32 *counts)
{
	const struct seccomp_data *data = &call.notification.data;
	u32 number = data->arch == NATIVE && (u32)data->nr < TOLD_NUMBERS ? (u32)data->nr : TOLD_NUMBERS;
	if (counts[number] < ~0u)
		counts[number]++;
}

static void kill_caller(const struct listener *listener, u32 command, long tree)
{
	struct told_calls *calls = listener->calls;
	const struct seccomp_data *data = &call.notification.data;
	u32 process = end_process(listener, command, tree);
	if (process == 0)
		return;
	count(calls->denied);
	if (process != command)
		return;
	calls->fatal = 1;
	calls->fatal_native = data->arch == NATIVE;
	calls->fatal_number = (u32)data->nr;
}

/* One call at a time: a flood of them must not keep the supervisor from its other descriptors. */
void serve_listener(struct listener *listener, short events, u32 command, long tree)
{
	if (!(events & POLLIN)) {
		/* Nobody is left under the filter. */
		SYS1(__NR_close, listener->fd);
		listener->fd = -1;
		return;
	}
	/* The kernel wants it empty. It does not block where poll(2) said so: who died meanwhile is ENOENT. */
	memset(&call, 0, listener->call_size);
	if (SYS3(__NR_ioctl, listener->fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	u32 action = verdict(listener->program, &call.notification.data), data = action & SECCOMP_RET_DATA;
	u32 *counts = listener->calls->denied;
	memset(&answer, 0, sizeof answer);
	answer.response.id = call.notification.id;
	/*
	 * What the child waits in: as often as a signal makes it start over, and not at all where it has seen in time that it need
	 * not wait. Any other call, be it the first, is the command's.
	 */
	if (shared->stage != EXECUTING && (u32)call.notification.data.nr == HANDOVER_CALL) {
		SYS3(__NR_ioctl, listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
		return;
	}
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_LOG:
		answer.response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		counts = listener->calls->logged;
		break;
	case SECCOMP_RET_ERRNO:
		answer.response.error = -(i32)(data < MAX_ERRNO ? data : MAX_ERRNO);
		break;
	case SECCOMP_RET_USER_NOTIF:
		answer.response.error = -EPERM;
		break;
	case SECCOMP_RET_ALLOW:
		/* Only HANDOVER_CALL, which is allowed, but does not exist. */
		answer.response.error = -ENOSYS;
		break;
	default:
		kill_caller(listener, command, tree);
		return;
	}
	/* A signal may have interrupted the call: it starts over, and is counted then. */
	if (SYS3(__NR_ioctl, listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) >= 0)
		count(counts);
}

static void tell_counts(u32 kind, const u32 *counts)
{
	struct record record;
	memset(&record, 0, sizeof record);
	record.kind = kind;
	for (u32 number = 0; number <= TOLD_NUMBERS; number++) {
		u32 pair[2] = { number, counts[number] };
		if (counts[number] > 0)
			memcpy(record.what + sizeof pair * record.op++, pair, sizeof pair);
		if (record.op > 0 && (number == TOLD_NUMBERS || record.op == sizeof record.what / sizeof pair)) {
			report(&record);
			record.op = 0;
		}
	}
}

/* A process that a verdict ended died of SIGKILL, since a SIGSYS could be caught: its status says what the kernel's filter would. */
void tell_calls(const struct listener *listener, struct record *ended)
{
	const struct told_calls *calls = listener->calls;
	if (!calls)
		return;
	tell_counts(RECORD_DENIED, calls->denied);
	tell_counts(RECORD_LOGGED, calls->logged);
	if (!calls->fatal || (ended->status & 0x7f) != SIGKILL)
		return;
	ended->status = SIGSYS;
	ended->op = calls->fatal_number;
	ended->error = calls->fatal_native ? 1 : 2;
}
