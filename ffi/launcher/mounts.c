/*
 * The new root. Sources are opened through links of root at most (follow.c), targets are walked component by component below the
 * new root, and mounts are attached by fd: a link swapped in between cannot lead elsewhere.
 */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "launcher.h"

#define MNT_DETACH 2
#define EPERM 1
#define ENODEV 19
#define ENOSYS 38

/* The new root, and the tmpfs that it is, or that lies below it where the root is a directory of the host. */
static int root = -1, scratch = -1;

static long open_at(int dir, const char *name, int flags, int mode)
{
	return SYS4(__NR_openat, dir, name, flags | O_CLOEXEC, mode);
}

static void close_fd(long fd)
{
	SYS1(__NR_close, fd);
}

static void close_below(long dir)
{
	if (dir != root)
		close_fd(dir);
}

/* Of the root another, which can be closed as any. */
static long own_fd(long dir)
{
	return dir == root ? SYS3(__NR_fcntl, root, F_DUPFD_CLOEXEC, 0) : dir;
}

/*
 * An fd of `target` below the new root, to mount on; missing directories are made, and a missing last component as `kind`
 * (S_IFDIR, S_IFREG, or 0: leave it out and give the parent, with its name in *last).
 */
static long walk(const char *target, u32 kind, u32 mode, const char **last)
{
	char name[256];
	long dir = root;
	const char *p = target;
	for (;;) {
		while (*p == '/')
			p++;
		usize n = 0;
		while (p[n] && p[n] != '/')
			n++;
		if (n == 0)
			return own_fd(dir);
		if (n >= sizeof name) {
			close_below(dir);
			return -36; /* ENAMETOOLONG */
		}
		memcpy(name, p, n);
		name[n] = 0;
		const char *rest = p + n;
		while (*rest == '/')
			rest++;
		int final = *rest == 0;
		if (final && kind == 0) {
			*last = p;
			return own_fd(dir);
		}
		int directory = !final || kind == S_IFDIR;
		int flags = O_PATH | O_NOFOLLOW | (directory ? O_DIRECTORY : 0);
		long fd = open_at((int)dir, name, flags, 0);
		if (fd == -2 /* ENOENT */) {
			fd = directory ? SYS3(__NR_mkdirat, dir, name, final ? mode : 0755)
				       : open_at((int)dir, name, O_CREAT | O_EXCL | O_WRONLY, (int)mode);
			if (fd >= 0 && directory)
				fd = open_at((int)dir, name, flags, 0);
		}
		close_below(dir);
		if (fd < 0)
			return fd;
		dir = fd;
		p = rest;
	}
}

/* What is at `target` below the new root, without following links; nothing is made. */
static long find(const char *target)
{
	return open_plain(root, target, RESOLVE_IN_ROOT);
}

static long attach(long tree, const char *target, u32 kind)
{
	at = target;
	long place = walk(target, kind, kind == S_IFDIR ? 0755 : 0644, 0);
	if (place < 0)
		return place;
	long r = SYS5(__NR_move_mount, tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	close_fd(place);
	return r;
}

static long set_attributes(long fd, u64 attributes, unsigned flags)
{
	struct mount_attr attr = { .attr_set = attributes };
	return SYS5(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
}

/* Where a filter says EPERM to what it does not know, the other way is as strict: the kernel's own EPERM comes there too. */
static int is_unknown(long r)
{
	return r == -ENOSYS || r == -EPERM;
}

/* Adds attributes to one attached mount. */
static long restrict_mount(long fd, u64 attributes)
{
	long r = set_attributes(fd, attributes, 0);
	return is_unknown(r) ? remount_tree(fd, attributes, 0) : r;
}

/*
 * The tmpfs lies on the host's root, and would come along with that where it is a source, and hide it: what is unbindable is left
 * out. Only while a file of its own is mounted it must not be so.
 */
static long set_propagation(u64 propagation)
{
	struct mount_attr attr = { .propagation = propagation };
	long r = SYS5(__NR_mount_setattr, scratch, "", AT_EMPTY_PATH, &attr, sizeof attr);
	if (!is_unknown(r))
		return r;
	char name[40] = "/proc/self/fd/";
	decimal(name + 14, scratch);
	return SYS5(__NR_mount, 0, name, 0, propagation, 0);
}

/*
 * Shows what `fd` refers to at `target`, with its submounts. A file that somebody wrote where a `device` was missing would be one for
 * all sandboxes, and so a way from one into another. Before 5.12 they are restricted once they are there: nobody else sees them.
 */
static long show(long fd, const char *target, u64 attributes, u64 device)
{
	struct statx st;
	long r = SYS5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);
	if (r < 0)
		return r;
	if (device && (st.stx_mode & S_IFMT) != S_IFCHR)
		return -ENODEV;
	u32 kind = (st.stx_mode & S_IFMT) == S_IFDIR ? S_IFDIR : S_IFREG;
	long tree = SYS3(__NR_open_tree, fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return tree;
	r = set_attributes(tree, attributes, AT_RECURSIVE);
	int one_by_one = is_unknown(r);
	if (r >= 0 || one_by_one)
		r = attach(tree, target, kind);
	if (r >= 0 && one_by_one)
		r = remount_tree(tree, attributes, kind == S_IFDIR);
	/* What is mounted next comes into the new root, not below it. */
	if (r >= 0 && target[0] == '/' && !target[1]) {
		root = (int)tree;
		return 0;
	}
	close_fd(tree);
	return r;
}

long root_begin(void)
{
	at = "/";
	/* Nothing mounted here may reach the host, and nothing mounted there later may appear here. */
	long r = SYS5(__NR_mount, 0, "/", 0, 0x4000 | 0x40000 /* MS_REC | MS_PRIVATE */, 0);
	if (r < 0)
		return r;
	at = "tmpfs";
	long fs = SYS2(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	r = SYS5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0);
	if (r >= 0)
		r = SYS5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r >= 0)
		r = SYS3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	close_fd(fs);
	if (r < 0)
		return r;
	root = scratch = (int)r;
	/* On top of "/": a place that always exists. Lookups from the old root do not see it; pivot_root finds it by fd. */
	at = "/";
	r = SYS5(__NR_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? r : set_propagation(MS_UNBINDABLE);
}

long root_end(void)
{
	at = "/";
	long r = restrict_mount(root, MOUNT_ATTR_RDONLY);
	if (r >= 0)
		r = set_propagation(MS_PRIVATE);
	if (r >= 0)
		r = SYS1(__NR_fchdir, root);
	if (r < 0)
		return r;
	/* With the same directory twice, the old root ends up on top of the new one, and goes with one umount: pivot_root(2) */
	r = SYS2(__NR_pivot_root, ".", ".");
	if (r < 0)
		return r;
	/* What is uppermost goes first: on the old root still lies the tmpfs, unless that is the new one. */
	if (scratch != root)
		r = SYS2(__NR_umount2, ".", MNT_DETACH);
	if (r >= 0)
		r = SYS2(__NR_umount2, ".", MNT_DETACH);
	if (r < 0)
		return r;
	if (scratch != root)
		close_fd(scratch);
	close_fd(root);
	return SYS1(__NR_chdir, "/");
}

long mount_bind(const struct header *plan, const struct op *op)
{
	const char *source = op_data(op);
	long fd = open_source(plan, op);
	if (fd < 0)
		return is_absent(fd) && (op->numbers[1] & BIND_OPTIONAL) ? 0 : fd;
	long r = show(fd, source + length(source) + 1, op->numbers[0], op->numbers[1] & BIND_DEVICE);
	close_fd(fd);
	return r;
}

long mount_fs(const struct op *op)
{
	const char *type = op_data(op), *end = type + op->bytes;
	const char *target = type + length(type) + 1;
	at = type;
	long fs = SYS2(__NR_fsopen, type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	long r = 0;
	for (const char *key = target + length(target) + 1; r >= 0 && key < end;) {
		const char *value = key + length(key) + 1;
		at = key;
		r = SYS5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
		key = value + length(value) + 1;
	}
	if (r >= 0) {
		at = type;
		r = SYS5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	}
	if (r >= 0)
		r = SYS3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, op->numbers[0]);
	close_fd(fs);
	if (r < 0)
		return r;
	long tree = r;
	r = attach(tree, target, S_IFDIR);
	close_fd(tree);
	return r;
}

long make_symlink(const char *text, const char *target)
{
	const char *name = 0;
	at = target;
	long dir = walk(target, 0, 0, &name);
	if (dir < 0)
		return dir;
	long r = SYS3(__NR_symlinkat, text, dir, name);
	close_fd(dir);
	return r;
}

long make_dir(const char *target, u32 mode)
{
	at = target;
	long fd = walk(target, S_IFDIR, mode, 0);
	if (fd < 0)
		return fd;
	close_fd(fd);
	return 0;
}

/* A file system in memory takes all of it, unless it is full. */
static long write_all(long fd, const char *content, usize size)
{
	long r = SYS3(__NR_write, fd, content, size);
	return r < 0 || (usize)r == size ? r : -28 /* ENOSPC */;
}

/* As it is in the sandbox's uts namespace now, which is what its commands see. */
static long write_name(long fd)
{
	/* struct new_utsname: sysname, nodename … */
	char names[6][65];
	long r = SYS1(__NR_uname, names);
	if (r >= 0)
		r = write_all(fd, names[1], length(names[1]));
	return r < 0 ? r : write_all(fd, "\n", 1);
}

/*
 * The file is made in the scratch tmpfs under a hidden name, mounted onto the target and unlinked: so it can cover a file of a
 * read-only mount, and nobody can write to it. What is mounted is nosuid and nodev as that is.
 */
long make_file(const struct op *op, const char *content)
{
	static const char hidden[] = ".file";
	const char *target = op_data(op);
	at = target;
	long fd = open_at(scratch, hidden, O_CREAT | O_EXCL | O_WRONLY, (int)op->numbers[0]);
	if (fd < 0)
		return fd;
	long r = write_all(fd, content, op->bytes - (usize)(content - target));
	if (r >= 0 && op->numbers[1] == 1)
		r = write_name(fd);
	if (r >= 0)
		r = set_propagation(MS_PRIVATE);
	if (r >= 0)
		r = show(fd, target, MOUNT_ATTR_RDONLY, 0);
	if (r >= 0)
		r = set_propagation(MS_UNBINDABLE);
	close_fd(fd);
	long gone = SYS3(__NR_unlinkat, scratch, hidden, 0);
	return r < 0 ? r : gone;
}

long mount_again(const char *target, u64 attributes)
{
	at = target;
	long fd = find(target);
	if (fd < 0)
		return fd;
	long r = show(fd, target, attributes, 0);
	close_fd(fd);
	return r;
}

/* The lock goes with its fd: above FIRST_KEPT_FD the init closes nothing. */
long hold_lock(const char *target)
{
	at = target;
	long path = find(target);
	if (path < 0)
		return path;
	/* An O_PATH fd cannot be locked; the name under /proc/self/fd of the old root opens what it refers to. */
	char name[40];
	memcpy(name, "/proc/self/fd/", 14);
	decimal(name + 14, path);
	long fd = SYS4(__NR_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	close_fd(path);
	if (fd < 0)
		return fd;
	long kept = SYS3(__NR_fcntl, fd, F_DUPFD_CLOEXEC, FIRST_KEPT_FD);
	close_fd(fd);
	if (kept < 0)
		return kept;
	struct {
		short type, whence;
		int pad;
		u64 start, length;
		int pid, pad2;
	} whole = { 0 /* F_RDLCK */, 0, 0, 0, 0, 0, 0 };
	return SYS3(__NR_fcntl, kept, 6 /* F_SETLK */, &whole);
}

long mount_setattr_at(const char *target, u64 attributes)
{
	at = target;
	long fd = walk(target, S_IFDIR, 0755, 0);
	if (fd < 0)
		return fd;
	long r = restrict_mount(fd, attributes);
	close_fd(fd);
	return r;
}
