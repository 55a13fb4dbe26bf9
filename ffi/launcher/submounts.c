/*
 * Kernels before 5.12 restrict one mount at a time, once it is attached. What lies below is found in mountinfo, and told apart by
 * its id: paths may be moved about by others while we look. Every mount that can be reached is restricted, or the launch fails.
 */
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "launcher.h"

#define TEXT_LIMIT (4u << 20)
#define MOUNTS_LIMIT 4096
#define ENOSYS 38
#define E2BIG 7
#define ESTALE 116
/* Since 5.8; not in the headers of all that this is built with. */
#define STATX_MNT_ID_BIT 0x1000u
#define MNT_ID_OFFSET 144

struct mounted {
	u64 id, parent;
	const char *path;
};

static struct mounted tree[MOUNTS_LIMIT];
static usize count;

/* A remount sets all flags anew, so those it has are kept: in a user namespace they may not be cleared anyway. */
static long remount(long fd, u64 attributes)
{
	u64 fs[15];
	char name[40] = "/proc/self/fd/";
	decimal(name + 14, fd);
	long r = SYS2(__NR_fstatfs, fd, fs);
	if (r < 0)
		return r;
	/* The first four MS_ and ST_ flags have the values of MOUNT_ATTR_. */
	u64 flags = attributes | (fs[10] & 0xf);
	return SYS5(__NR_mount, 0, name, 0, 32 | 4096 | flags /* MS_REMOUNT | MS_BIND */, 0);
}

static long id_of(long fd, u64 *id)
{
	union {
		struct statx st;
		char bytes[256];
	} data;
	long r = SYS5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID_BIT, &data.st);
	if (r < 0)
		return r;
	if (!(data.st.stx_mask & STATX_MNT_ID_BIT))
		return -ENOSYS;
	memcpy(id, data.bytes + MNT_ID_OFFSET, sizeof *id);
	return 0;
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

static u64 number(const char *text)
{
	u64 value = 0;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + (u64)(*text++ - '0');
	return value;
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
		r = remount(fd, attributes);
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
	long r = remount(top, attributes);
	if (r < 0 || !recursive)
		return r;
	long map = MAP(TEXT_LIMIT, 3 /* READ | WRITE */, 0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */, -1);
	if (map < 0 && map > -4096)
		return map;
	r = restrict_below(top, attributes, (char *)map);
	SYS2(__NR_munmap, map, TEXT_LIMIT);
	return r;
}
