/*
 * A terminal of the command's own: pts(4), devpts in the kernel's documentation. The command gets the slave; the master goes to the
 * supervisor (relay.c), and never to the command.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include "launcher.h"

#define EINVAL 22
#define ENODEV 19
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define AS_IT_IS 0xffffffffu

static long fs_ids(u32 uid, u32 gid)
{
	/* They return what was before; of an id that cannot be had nothing changes. */
	if ((u32)SYS1(__NR_setfsgid, AS_IT_IS) != gid)
		SYS1(__NR_setfsgid, gid);
	if ((u32)SYS1(__NR_setfsuid, AS_IT_IS) != uid)
		SYS1(__NR_setfsuid, uid);
	return (u32)SYS1(__NR_setfsgid, AS_IT_IS) == gid && (u32)SYS1(__NR_setfsuid, AS_IT_IS) == uid ? 0 : -EINVAL;
}

/* An instance that is mounted nowhere: nothing but this terminal will ever be in it. */
static long own_instance(void)
{
	long fs = SYS2(__NR_fsopen, "devpts", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	long r = SYS5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0);
	if (r >= 0)
		r = SYS5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0620", 0);
	if (r >= 0)
		r = SYS5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r >= 0)
		r = SYS3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	SYS1(__NR_close, fs);
	return r;
}

static int is_devpts(long dir)
{
	/* struct statfs of either architecture: 120 bytes, the type first. */
	long statfs[16];
	return SYS2(__NR_fstatfs, dir, statfs) >= 0 && statfs[0] == DEVPTS_SUPER_MAGIC;
}

static long open_master(u64 where, const char *path)
{
	int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	if (where == PTY_MACHINE)
		return SYS4(__NR_openat, AT_FDCWD, path, flags, 0);
	long dir = where == PTY_MOUNTED ? open_plain(AT_FDCWD, path, 0) : own_instance();
	if (dir < 0)
		return dir;
	long master = is_devpts(dir) ? SYS4(__NR_openat, dir, "ptmx", flags | O_NOFOLLOW, 0) : -ENODEV;
	SYS1(__NR_close, dir);
	return master;
}

/*
 * What is printed goes out as it is, nothing is echoed, and as nobody types, each read finds the end of the file at once: without
 * ICANON, MIN and TIME of 0 mean that.
 */
static long set_modes(long slave, u64 columns, u64 rows)
{
	struct termios modes;
	long r = SYS3(__NR_ioctl, slave, TCGETS, &modes);
	if (r < 0)
		return r;
	modes.c_oflag &= ~(tcflag_t)(OPOST | ONLCR);
	modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHOE | ECHOK | ECHONL | ECHOCTL | ECHOKE);
	modes.c_cc[VMIN] = 0;
	modes.c_cc[VTIME] = 0;
	r = SYS3(__NR_ioctl, slave, TCSETS, &modes);
	/* struct winsize */
	u16 size[4] = { (u16)rows, (u16)columns, 0, 0 };
	return r < 0 ? r : SYS3(__NR_ioctl, slave, TIOCSWINSZ, size);
}

/* Both ends to the supervisor, and its word that it has them: without it the output would have nobody. */
static long hand_over(int channel, long master, long slave)
{
	struct record record;
	memset(&record, 0, sizeof record);
	record.kind = TERMINAL_COMES;
	struct {
		usize length;
		int level, type;
		int fds[2];
	} control = { sizeof control, SOL_SOCKET, SCM_RIGHTS, { (int)master, (int)slave } };
	struct {
		void *base;
		usize length;
	} part = { &record, sizeof record };
	struct {
		void *name;
		u32 name_length, pad;
		void *parts;
		usize count;
		void *control;
		usize control_length;
		u32 flags, pad2;
	} message = { .parts = &part, .count = 1, .control = &control, .control_length = sizeof control };
	char taken;
	long r = SYS3(__NR_sendmsg, channel, &message, 0);
	if (r >= 0 && SYS3(__NR_read, channel, &taken, 1) != 1)
		leave(1);
	return r;
}

long make_terminal(const struct op *op, int channel)
{
	const u64 *n = op->numbers;
	u32 uid = (u32)SYS1(__NR_setfsuid, AS_IT_IS), gid = (u32)SYS1(__NR_setfsgid, AS_IT_IS);
	const char *path = op_data(op);
	at = n[4] == PTY_OWN ? "devpts" : path;
	/* Its node is then the command's, which may open it anew by its name: as /dev/stdout. */
	long r = fs_ids((u32)n[2], (u32)n[3]);
	long master = r < 0 ? r : open_master(n[4], path);
	if (master < 0)
		return master;
	int unlocked = 0;
	at = "pty";
	r = SYS3(__NR_ioctl, master, TIOCSPTLCK, &unlocked);
	long slave = r < 0 ? r : SYS3(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return slave;
	/* Else write(1) of other users may print among its output. */
	r = SYS2(__NR_fchmod, slave, 0600);
	if (r >= 0)
		r = fs_ids(uid, gid);
	if (r >= 0)
		r = set_modes(slave, n[0], n[1]);
	if (r >= 0)
		r = hand_over(channel, master, slave);
	SYS1(__NR_close, master);
	/* Job control of shells wants it, and /dev/tty. Nobody else is in the session, and nobody types. */
	if (r >= 0)
		r = SYS3(__NR_ioctl, slave, TIOCSCTTY, 0);
	for (int fd = 0; r >= 0 && fd <= 2; fd++)
		r = SYS3(__NR_dup3, slave, fd, 0);
	SYS1(__NR_close, slave);
	return r < 0 ? r : 0;
}
