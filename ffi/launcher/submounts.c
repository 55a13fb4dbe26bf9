/*
 * Kernels before 5.12 restrict one mount at a time, once it is attached. What lies below is found in mountinfo, and told apart by
 * its id: paths may be moved about by others while we look. Every mount that can be reached is restricted, or the launch fails. All
 * that is asked the kernel knows by itself: a file system that does not answer any more, or only its owner, is none of our business.
 */
#include <linux/fcntl.h>
#include <linux/openat2.h>

#include "launcher.h"

#define TEXT_LIMIT (4u << 20)
#define MOUNTS_LIMIT 4096
#define E2BIG 7
#define ESTALE 116

struct mounted {
	u64 id, parent;
	/* MOUNT_ATTR_, those of this mount alone. */
	u64 flags;
	const char *path;
};

static struct mounted tree[MOUNTS_LIMIT];
static usize count;

/*
 * A remount sets all flags anew, so those it has come with them: in a user namespace they may not be cleared anyway. The first four
 * MS_ and ST_ flags have the values of MOUNT_ATTR_.
 */
static long remount(long fd, u64 flags)
{
	char name[40] = "/proc/self/fd/";
	decimal(name + 14, fd);
	return SYS5(__NR_mount, 0, name, 0, 32 | 4096 | flags /* MS_REMOUNT | MS_BIND */, 0);
}

static u64 number(const char *text)
{
	u64 value = 0;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + (u64)(*text++ - '0');
	return value;
}

/* By what proc_pid_fdinfo(5) says: statx(2) asks the file system too, and tells it since 5.8 only. */
static long id_of(long fd, u64 *id)
{
	static const char key[] = "\nmnt_id:\t";
	char text[256], name[40] = "/proc/self/fdinfo/";
	decimal(name + 18, fd);
	long info = SYS4(__NR_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	if (info < 0)
		return info;
	long got = SYS3(__NR_read, info, text, sizeof text - 1);
	SYS1(__NR_close, info);
	if (got < 0)
		return got;
	text[got] = 0;
	for (char *at = text; *at; at++) {
		usize n = 0;
		while (n < sizeof key - 1 && at[n] == key[n])
			n++;
		if (n == sizeof key - 1) {
			*id = number(at + n);
			return 0;
		}
	}
	return -ESTALE;
}

/* What of `path` follows `above` and a slash; 0 when it is not below. */
static const char *below(const char *path, const char *above)
{
	if (above[0] == '/' && !above[1])
		return path[0] == '/' && path[1] ? path + 1 : 0;
	while (*above && *path == *above)
		path++, above++;
	return !*above && *path == '/' && path[1] ? path + 1 : 0;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static struct mounted *find_mount(u64 id)
{
	for (usize i = 0; i < count; i++)
		if (tree[i].id == id)
			return &tree[i];
	return 0;
}

/* The next field of a line, ended in place, with its \ooo unescaped: proc_pid_mountinfo(5). */
static char *field(char **line)
{
	char *from = *line, *to = from, *begin = from;
	while (*from && *from != ' ') {
		if (*from == '\\' && from[1] && from[2] && from[3]) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*line = *from ? from + 1 : from;
	*to = 0;
	return begin;
}

/* Of the options of a mount: what is between two commas. */
static u64 flags_of(const char *options)
{
	static const char *const names[] = {"ro", "nosuid", "nodev", "noexec"};
	u64 flags = 0;
	while (*options) {
		char name[8];
		usize n = 0;
		for (; *options && *options != ','; options++)
			if (n < sizeof name - 1)
				name[n++] = *options;
		name[n] = 0;
		for (usize i = 0; i < 4; i++)
			if (same(name, names[i]))
				flags |= 1u << i;
		if (*options)
			options++;
	}
	return flags;
}

/* The tree has just been cloned as one, and so is listed with each parent before its children. */
static long collect(char *text, u64 root)
{
	count = 0;
	while (*text) {
		char *line = text;
		while (*text && *text != '\n')
			text++;
		if (*text)
			*text++ = 0;
		struct mounted one;
		one.id = number(field(&line));
		one.parent = number(field(&line));
		if (one.id != root && !find_mount(one.parent))
			continue;
		if (count == MOUNTS_LIMIT)
			return -E2BIG;
		field(&line);
		field(&line);
		one.path = field(&line);
		one.flags = flags_of(field(&line));
		tree[count++] = one;
	}
	/* Without a view of our own mounts nothing can be known of them. */
	return count > 0 ? 0 : -ESTALE;
}

/* Our mounts are private by now: only we change them, so that several reads are one look. */
static long read_mountinfo(char *text)
{
	long fd = SYS4(__NR_openat, AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0);
	long got = fd;
	usize size = 0;
	while (got >= 0 && (got = SYS3(__NR_read, fd, text + size, TEXT_LIMIT - 1 - size)) > 0)
		size += (usize)got;
	if (fd >= 0)
		SYS1(__NR_close, fd);
	return got < 0 ? got : size == TEXT_LIMIT - 1 ? -E2BIG : 0;
}

/*
 * Whether no path leads to a mount, since another one lies on it or on a directory above it, or on one of those it is in. What is
 * on top of `one` does not hide `through`, which is in it.
 */
static int is_hidden(const struct mounted *one, const struct mounted *through)
{
	for (usize i = 0; i < count; i++) {
		const struct mounted *other = &tree[i];
		if (other == one || other == through)
			continue;
		if (other->parent == one->id && same(other->path, one->path))
			return 1;
		if (one != tree && other->parent == one->parent && below(one->path, other->path))
			return 1;
	}
	return one != tree && is_hidden(find_mount(one->parent), one);
}

static long restrict_one(long top, const struct mounted *one, u64 attributes)
{
	const char *name = below(one->path, tree[0].path);
	u64 id = 0;
	long fd = name ? open_plain(top, name, RESOLVE_BENEATH) : -ESTALE;
	long r = fd < 0 ? fd : id_of(fd, &id);
	if (r >= 0 && id == one->id)
		r = remount(fd, attributes | one->flags);
	else
		/* Whoever moves directories meanwhile only keeps the command from starting. */
		r = is_hidden(one, 0) ? 0 : -ESTALE;
	if (fd >= 0)
		SYS1(__NR_close, fd);
	return r;
}

static long restrict_below(long top, u64 attributes, char *text)
{
	u64 root = 0;
	long r = id_of(top, &root);
	if (r >= 0)
		r = read_mountinfo(text);
	if (r >= 0)
		r = collect(text, root);
	for (usize i = 1; r >= 0 && i < count; i++)
		r = restrict_one(top, &tree[i], attributes);
	return r;
}

long remount_tree(long top, u64 attributes, int recursive)
{
	u64 fs[15];
	long r = SYS2(__NR_fstatfs, top, fs);
	if (r >= 0)
		r = remount(top, attributes | (fs[10] & 0xf));
	if (r < 0 || !recursive)
		return r;
	long map = MAP(TEXT_LIMIT, 3 /* READ | WRITE */, 0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */, -1);
	if (map < 0 && map > -4096)
		return map;
	r = restrict_below(top, attributes, (char *)map);
	SYS2(__NR_munmap, map, TEXT_LIMIT);
	return r;
}
