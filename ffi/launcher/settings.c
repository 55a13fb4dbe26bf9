/* Settings of the kernel that a namespace has for itself, below /proc/sys. */
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "launcher.h"

static long write_at(long dir, const char *path, const char *text)
{
	long fd = SYS4(__NR_openat, dir, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long r = SYS3(__NR_write, fd, text, length(text));
	SYS1(__NR_close, fd);
	return r;
}

long write_text(const char *path, const char *text)
{
	at = path;
	return write_at(AT_FDCWD, path, text);
}

/* A proc of the new namespaces, seen by nobody else. The kernel gives it to who sees the whole of one: mount_namespaces(7). */
static long make_proc(void)
{
	long fs = SYS2(__NR_fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	long r = SYS5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r >= 0)
		r = SYS3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	SYS1(__NR_close, fs);
	return r;
}

long write_setting(const char *path, const char *text, int needed)
{
	static const char below[] = "/proc/";
	long r = write_text(path, text);
	if (r >= 0)
		return r;
	/* Units and containers have /proc/sys read-only, or not at all. */
	long proc = make_proc(), own = proc;
	if (proc >= 0) {
		own = write_at(proc, path + sizeof below - 1, text);
		SYS1(__NR_close, proc);
	}
	return own >= 0 || !needed ? 0 : r;
}
