/*
 * PID 1 of early boot, started by the kernel (`init=/usr/lib/spawnbox/init`) or by an initramfs (config/install/initramfs).
 * Mounts what is missing, starts `spawnbox early`, waits until that has done its tasks (or has died, or the deadline has
 * passed), and becomes the real init. Whatever goes wrong is said in the kernel log and passed over: nothing here may keep
 * the machine from booting.
 */
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/stat.h>

#include "launcher.h"

#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8
#define WNOHANG 1
#define DEADLINE_MS 10000
#define LINE 512

static long kmsg = -1;

static usize append(char *line, usize at, const char *text)
{
	while (*text && at < LINE - 2)
		line[at++] = *text++;
	return at;
}

static void say(const char *text, const char *object, long error)
{
	char line[LINE], number[24];
	usize n = append(line, 0, "<5>spawnbox: ");
	n = append(line, n, text);
	n = append(line, n, object);
	if (error < 0) {
		decimal(number, -error);
		n = append(line, n, ": errno ");
		n = append(line, n, number);
	}
	line[n++] = '\n';
	SYS3(__NR_write, kmsg < 0 ? 2 : kmsg, line, n);
}

/* A directory is a mount point when its device is not its parent's. */
static int is_mounted(const char *path)
{
	struct statx here, above;
	char parent[64];
	usize n = append(parent, 0, path);
	memcpy(parent + n, "/..", 4);
	if (SYS5(__NR_statx, AT_FDCWD, path, 0, STATX_INO, &here) < 0 || SYS5(__NR_statx, AT_FDCWD, parent, 0, STATX_INO, &above) < 0)
		return 0;
	return here.stx_dev_major != above.stx_dev_major || here.stx_dev_minor != above.stx_dev_minor;
}

static void mount_missing(const char *path, const char *type, long flags, const char *options)
{
	if (is_mounted(path))
		return;
	SYS3(__NR_mkdirat, AT_FDCWD, path, 0755);
	long r = SYS5(__NR_mount, type, path, type, flags, options);
	if (r < 0)
		say("cannot mount ", path, r);
}

static int starts(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return 0;
	return 1;
}

/* The kernel keeps words with a dot to itself, so they are read from /proc/cmdline. The last value of `key`, or 0. */
static const char *word_of(char *cmdline, const char *key)
{
	const char *value = 0;
	for (char *p = cmdline; *p; p += length(p) + 1)
		if (starts(p, key))
			value = p + length(key);
	return value;
}

/* The ways to say no of systemd's own words, see kernel-command-line(7). */
static int is_off(const char *value)
{
	static const char *const no[] = { "0", "no", "n", "false", "f", "off" };
	for (usize i = 0; value && i < sizeof no / sizeof *no; i++)
		if (starts(value, no[i]) && length(value) == length(no[i]))
			return 1;
	return 0;
}

/* Words become strings one after the other; an empty one ends them. */
static void read_cmdline(char *words, usize size)
{
	memset(words, 0, size);
	long fd = SYS4(__NR_openat, AT_FDCWD, "/proc/cmdline", O_RDONLY | O_CLOEXEC, 0);
	long got = fd < 0 ? 0 : SYS3(__NR_read, fd, words, size - 2);
	if (fd >= 0)
		SYS1(__NR_close, fd);
	usize out = 0;
	for (long i = 0; i < got; i++) {
		int blank = words[i] == ' ' || words[i] == '\n';
		if (!blank)
			words[out++] = words[i];
		else if (out > 0 && words[out - 1])
			words[out++] = 0;
	}
	words[out] = words[out + 1] = 0;
}

static long milliseconds(void)
{
	struct {
		long seconds, nanoseconds;
	} now = { 0, 0 };
	SYS2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
	return now.seconds * 1000 + now.nanoseconds / 1000000;
}

/* The value of the variable `key`, which the environment loses, or 0. */
static const char *take(char **envp, const char *key)
{
	const char *value = 0;
	char **kept = envp;
	for (; *envp; envp++) {
		if (starts(*envp, key))
			value = *envp + length(key);
		else
			*kept++ = *envp;
	}
	*kept = 0;
	return value;
}

/* The environment with a PATH: the kernel gives init only HOME and TERM. */
static char **with_path(char **envp, char **room, usize size)
{
	usize n = 0;
	int has_path = 0;
	for (; envp[n] && n < size - 2; n++) {
		room[n] = envp[n];
		has_path |= starts(envp[n], "PATH=");
	}
	if (!has_path)
		room[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	room[n] = 0;
	return room;
}

/* The kernel limits how often something is said by how it was opened: who shares that is silenced by the other. */
static long open_kmsg(void)
{
	return SYS4(__NR_openat, AT_FDCWD, "/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
}

/* `spawnbox early`, with the write end of `done` as fd 3. Its output goes to the kernel log. */
static long start_early(const char *program, int done, char **envp)
{
	long pid = SYS1(__NR_clone, 17 /* SIGCHLD */);
	if (pid != 0)
		return pid;
	SYS0(__NR_setsid);
	/* All of these are above 2 (see init_of_boot); what is to become 3 comes last, since one of the others may be there. */
	long null = SYS4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0), output = open_kmsg();
	if (output < 0)
		output = null;
	SYS3(__NR_dup3, null, 0, 0);
	SYS3(__NR_dup3, output, 1, 0);
	SYS3(__NR_dup3, output, 2, 0);
	kmsg = 2;
	if (done == 3)
		SYS3(__NR_fcntl, done, F_SETFD, 0);
	else
		SYS3(__NR_dup3, done, 3, 0);
	SYS3(__NR_close_range, 4, ~0u, 0);
	char *argv[] = { (char *)program, "early", "--ready-fd", "3", 0 };
	long r = SYS3(__NR_execve, program, argv, envp);
	say("cannot execute ", program, r);
	leave(127);
}

/* Reaps whatever ends meanwhile. 1 when the early tasks are done, 0 when their process died, -1 when time is up. */
static int await_early(long child, int done, long deadline)
{
	long end = milliseconds() + deadline;
	for (;;) {
		long left = end - milliseconds();
		if (left <= 0)
			return -1;
		struct pollfd polled = { .fd = done, .events = POLLIN };
		struct {
			long seconds, nanoseconds;
		} nap = { 0, (left < 50 ? left : 50) * 1000000 };
		SYS5(__NR_ppoll, &polled, 1, &nap, 0, 8);
		char byte;
		if (polled.revents && SYS3(__NR_read, done, &byte, 1) == 1)
			return 1;
		/* Closed, by a server that lives on: poll() would tell so again at once, and PID 1 would take a core. */
		if (polled.revents)
			done = -1;
		for (;;) {
			long pid = SYS4(__NR_wait4, -1, 0, WNOHANG, 0);
			if (pid <= 0)
				break;
			if (pid == child)
				return 0;
		}
	}
}

/* By what this program was executed: found without /proc. */
static const char *executed;

static const char *auxiliary(char **envp, unsigned long type)
{
	while (*envp)
		envp++;
	for (const unsigned long *entry = (unsigned long *)(envp + 1); entry[0]; entry += 2)
		if (entry[0] == type)
			return (const char *)entry[1];
	return 0;
}

/* Where /sbin/init is a link to this program, the next of the usual places is the real one. */
static int is_this_program(const char *path)
{
	struct statx it, self;
	if (SYS5(__NR_statx, AT_FDCWD, path, 0, STATX_INO, &it) < 0)
		return 0;
	if (SYS5(__NR_statx, AT_FDCWD, "/proc/self/exe", 0, STATX_INO, &self) < 0 && (!executed || SYS5(__NR_statx, AT_FDCWD, executed, 0, STATX_INO, &self) < 0))
		return 0;
	return it.stx_ino == self.stx_ino && it.stx_dev_major == self.stx_dev_major && it.stx_dev_minor == self.stx_dev_minor;
}

__attribute__((noreturn)) static void become(const char *wanted, char **argv, char **envp)
{
	static const char *const places[] = { "/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd",
					      "/etc/init",  "/bin/init",		"/bin/sh" };
	if (wanted && !is_this_program(wanted)) {
		argv[0] = (char *)wanted;
		say("cannot become ", wanted, SYS3(__NR_execve, wanted, argv, envp));
	}
	for (usize i = 0; i < sizeof places / sizeof *places; i++) {
		if (is_this_program(places[i]))
			continue;
		argv[0] = (char *)places[i];
		SYS3(__NR_execve, places[i], argv, envp);
	}
	say("no init can be executed", "", 0);
	leave(1);
}

/* With /proc mounted. */
static void before_init(char *cmdline, char **envp)
{
	static char *room[256];
	int done[2];

	mount_missing("/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	mount_missing("/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	/* Without a console the kernel starts init with no fd at all: nothing of ours may take the place of stdio. */
	for (int fd = 0; fd <= 2; fd++)
		if (SYS2(__NR_fcntl, fd, F_GETFD) < 0)
			SYS4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	kmsg = open_kmsg();
	mount_missing("/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
	mount_missing("/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	/* What is announced in /run must not be hidden by the tmpfs that the real init would mount. */
	mount_missing("/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	if (!is_off(word_of(cmdline, "systemd.unified_cgroup_hierarchy=")))
		mount_missing("/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate");
	SYS3(__NR_symlinkat, "/proc/self/fd", AT_FDCWD, "/dev/fd");
	long r = loopback_up();
	if (r < 0)
		say("loopback", "", r);

	const char *program = word_of(cmdline, "spawnbox.path="), *seconds = word_of(cmdline, "spawnbox.deadline=");
	long deadline = DEADLINE_MS;
	if (seconds && *seconds >= '0' && *seconds <= '9')
		for (deadline = 0; *seconds >= '0' && *seconds <= '9' && deadline < 3600000; seconds++)
			deadline = deadline * 10 + (*seconds - '0') * 1000;
	if (!program)
		program = "/usr/bin/spawnbox";

	r = SYS2(__NR_pipe2, done, O_CLOEXEC);
	if (r >= 0) {
		long child = start_early(program, done[1], with_path(envp, room, sizeof room / sizeof *room));
		SYS1(__NR_close, done[1]);
		if (child < 0) {
			say("cannot start ", program, child);
		} else {
			int how = await_early(child, done[0], deadline);
			say(how > 0 ? "early tasks done" : how == 0 ? "the early server ended before its tasks were done" :
								      "deadline passed, early tasks go on",
			    "", 0);
		}
		SYS1(__NR_close, done[0]);
	} else {
		say("pipe", "", r);
	}
}

void init_of_boot(char **argv, char **envp)
{
	static char cmdline[4098];
	executed = auxiliary(envp, 31 /* AT_EXECFN */);
	/* The init that an initramfs would have started itself. */
	const char *replaced = take(envp, "SPAWNBOX_INIT=");

	mount_missing("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	read_cmdline(cmdline, sizeof cmdline);
	if (!is_off(word_of(cmdline, "spawnbox.early=")))
		before_init(cmdline, envp);
	const char *wanted = word_of(cmdline, "spawnbox.init=");
	become(wanted ? wanted : replaced, argv, envp);
}
