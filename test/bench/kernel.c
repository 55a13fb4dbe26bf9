/*
 * What the kernel alone takes for the sandbox `full` of configs.ts: its namespaces, its loopback, its mounts, /bin/true in it, and
 * nothing of a launcher: no limits, no filter, no sweep, nothing checked that the kernel does not check, nobody who watches. Like
 * the launcher it mounts in one process while it makes the network in another.
 *
 * usage: kernel DIRECTORY UID GID, which reads a line for each order, and answers it with a line:
 *   cold             microseconds from the fork to the word that the command has ended
 *   warm             the same from the word that it may execute, all else being made ahead
 *   rate N MS        launches a second (cold), N of them at a time
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *directory;
static unsigned uid, gid;
/* Where inits tell that their command has ended. */
static int ended[2];

static void or_die(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	_exit(1);
}

static void write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_WRONLY);
	or_die(fd, path);
	or_die(write(fd, text, strlen(text)), path);
	close(fd);
}

static void bind_mount(const char *source, const char *target, unsigned long flags)
{
	or_die(mount(source, target, NULL, MS_BIND | MS_REC, NULL), target);
	if (flags)
		or_die(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL), target);
}

static void fresh(const char *type, const char *target, unsigned long flags, const char *options)
{
	or_die(mkdir(target, 0755), target);
	or_die(mount(type, target, type, flags, options), target);
}

static void make_root(void)
{
	static const char *links[] = { "bin", "lib", "lib64" };
	static const char *devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
	struct stat found;
	char from[32], to[32];
	or_die(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
	or_die(mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"), directory);
	or_die(chdir(directory), directory);
	or_die(mkdir("usr", 0755), "usr");
	bind_mount("/usr", "usr", MS_RDONLY | MS_NOSUID | MS_NODEV);
	for (int i = 0; i < 3; i++) {
		snprintf(from, sizeof from, "/%s", links[i]);
		snprintf(to, sizeof to, "usr/%s", links[i]);
		if (lstat(from, &found) == 0 && S_ISLNK(found.st_mode))
			or_die(symlink(to, links[i]), to);
	}
	fresh("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	fresh("tmpfs", "dev", MS_NOSUID | MS_NOEXEC, "mode=755");
	for (int i = 0; i < 6; i++) {
		snprintf(from, sizeof from, "/dev/%s", devices[i]);
		int fd = open(from + 1, O_WRONLY | O_CREAT | O_EXCL, 0644);
		or_die(fd, from);
		close(fd);
		bind_mount(from, from + 1, 0);
	}
	or_die(symlink("/proc/self/fd", "dev/fd"), "fd");
	or_die(symlink("/proc/self/fd/0", "dev/stdin"), "stdin");
	or_die(symlink("/proc/self/fd/1", "dev/stdout"), "stdout");
	or_die(symlink("/proc/self/fd/2", "dev/stderr"), "stderr");
	or_die(symlink("pts/ptmx", "dev/ptmx"), "ptmx");
	fresh("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620");
	fresh("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777");
	fresh("tmpfs", "tmp", MS_NOSUID | MS_NODEV, "mode=1777");
	or_die(mount(NULL, "dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL), "dev");
	or_die(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	or_die(umount2(".", MNT_DETACH), "umount");
	or_die(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "root");
}

static void make_network(void)
{
	or_die(unshare(CLONE_NEWNET), "network");
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };
	strcpy(request.ifr_name, "lo");
	or_die(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
	close(fd);
}

static void execute(void)
{
	char *argv[] = { "/bin/true", NULL }, *envp[] = { NULL };
	or_die(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	execve(argv[0], argv, envp);
	or_die(-1, argv[0]);
}

/* `go` is read before the exec, unless it is -1. */
static void init(int mapped, int go)
{
	int ready[2], status;
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	or_die(read(mapped, &byte, 1), "mapped");
	/* Who is nobody there makes no files. Its capabilities stay, since it was not root there. */
	or_die(setresgid(gid, gid, gid), "gid");
	or_die(setresuid(uid, uid, uid), "uid");
	or_die(pipe2(ready, O_CLOEXEC), "pipe");
	pid_t command = fork();
	or_die(command, "fork");
	if (command == 0) {
		make_network();
		or_die(read(ready[0], &byte, 1), "root");
		if (go >= 0) {
			or_die(write(ended[1], "r", 1), "ready");
			or_die(read(go, &byte, 1), "go");
		}
		execute();
	}
	make_root();
	or_die(write(ready[1], "", 1), "ready");
	waitpid(command, &status, 0);
	or_die(write(ended[1], status == 0 ? "e" : "f", 1), "ended");
	_exit(0);
}

static pid_t launch(int go)
{
	const long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	char map[40];
	int mapped[2];
	or_die(pipe2(mapped, O_CLOEXEC), "pipe");
	pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	or_die(pid, "clone");
	if (pid == 0)
		init(mapped[0], go);
	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	write_file(pid, "uid_map", map);
	write_file(pid, "setgroups", "deny");
	snprintf(map, sizeof map, "%u %u 1", gid, gid);
	write_file(pid, "gid_map", map);
	or_die(write(mapped[1], "", 1), "mapped");
	close(mapped[0]);
	close(mapped[1]);
	return pid;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void await(char expected)
{
	char byte;
	or_die(read(ended[0], &byte, 1), "ended");
	if (byte != expected) {
		fputs("/bin/true failed\n", stderr);
		exit(1);
	}
}

static double cold(void)
{
	double begin = now();
	pid_t pid = launch(-1);
	await('e');
	double took = now() - begin;
	waitpid(pid, NULL, 0);
	return took;
}

static double warm(void)
{
	int go[2];
	or_die(pipe2(go, O_CLOEXEC), "pipe");
	pid_t pid = launch(go[0]);
	await('r');
	/* As long as a call of the bench waits for the next one. */
	usleep(8000);
	double begin = now();
	or_die(write(go[1], "", 1), "go");
	await('e');
	double took = now() - begin;
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	return took;
}

static double rate(int at_once, int ms)
{
	double begin = now(), end = begin + ms * 1e3;
	int running = 0, count = 0;
	while (now() < end || running > 0) {
		while (now() < end && running < at_once) {
			launch(-1);
			running++;
		}
		await('e');
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		running--;
		count++;
	}
	double took = now() - begin;
	while (waitpid(-1, NULL, 0) > 0)
		;
	return count / (took / 1e6);
}

int main(int argc, char **argv)
{
	char line[64];
	int at_once, ms;
	if (argc != 4)
		return 2;
	directory = argv[1];
	uid = (unsigned)atoi(argv[2]);
	gid = (unsigned)atoi(argv[3]);
	or_die(pipe2(ended, O_CLOEXEC), "pipe");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		double told;
		if (sscanf(line, "rate %d %d", &at_once, &ms) == 2)
			told = rate(at_once, ms);
		else
			told = strcmp(line, "warm\n") == 0 ? warm() : cold();
		printf("%.1f\n", told);
	}
	return 0;
}
