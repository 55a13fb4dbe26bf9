/*
 * Paths of the host, opened at each launch: what they lead to may have changed since the plan was made. Who can make a link on
 * the way chooses what is shown, so only links are followed that nobody but root can make: each step is taken on the descriptor
 * of the last, and what was looked at is what is used. Inside a user namespace it cannot be seen who somebody is: there the
 * supervisor, which is outside, looks first, and leaves where the links lead.
 */
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>

#include "launcher.h"

#define EPERM 1
#define ENOENT 2
#define EACCES 13
#define EXDEV 18
#define ENOTDIR 20
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ELOOP 40
#define TEXT 4096
/* As the kernel's, path_resolution(7). */
#define MOST_LINKS 40
#define PLACES_SIZE (256u << 10)

/* Where a walk is, without links; "" is the root. The failure of a link that is not followed names it. */
static char place[TEXT];
static char ahead[TEXT], spare[TEXT];

static long open_step(long dir, const char *name, int flags)
{
	return SYS4(__NR_openat, dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | flags, 0);
}

static long look(long fd, struct statx *st)
{
	return SYS5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_UID | STATX_GID, st);
}

/* Others can put something there: also another name of a link that root has made elsewhere, where fs.protected_hardlinks is off. */
static int is_open(const struct statx *dir)
{
	return (dir->stx_mode & (dir->stx_gid ? 0022 : 0002)) != 0;
}

/* Only root can exchange what root has put there. */
static int is_roots(const struct statx *dir)
{
	return dir->stx_uid == 0 && (!is_open(dir) || (dir->stx_mode & 01000));
}

/* Whether the walk is at or below one of these paths. */
static int is_below(const char *path, const char *end)
{
	for (; path < end; path += length(path) + 1) {
		usize n = 0;
		while (path[n] && path[n] == place[n])
			n++;
		if (!path[n] && (!place[n] || place[n] == '/'))
			return 1;
	}
	return 0;
}

static int is_shared(const struct op *shared_places)
{
	if (!shared_places)
		return 0;
	const char *paths = op_data(shared_places);
	return is_below(paths, paths + shared_places->bytes);
}

/* `ahead` becomes the text of the link, and then what comes behind it. */
static long put_ahead(long link, const char *rest)
{
	usize n = length(rest) + 1;
	memcpy(spare, rest, n);
	long size = SYS4(__NR_readlinkat, link, "", ahead, TEXT);
	if (size < 0)
		return size;
	if (size == 0)
		return -ENOENT;
	if ((usize)size + 1 + n > TEXT)
		return -ENAMETOOLONG;
	ahead[size] = '/';
	memcpy(ahead + size + 1, spare, n);
	return 0;
}

/* Takes the name in front of `ahead` off. 0: there is none left. */
static long next_name(const char **rest, char *name)
{
	const char *p = *rest;
	while (*p == '/')
		p++;
	usize n = 0;
	while (p[n] && p[n] != '/')
		n++;
	if (n > 255)
		return -ENAMETOOLONG;
	memcpy(name, p, n);
	name[n] = 0;
	*rest = p + n;
	return (long)n;
}

static long go_up_or_down(const char *name)
{
	usize size = length(place), n = length(name);
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		while (size > 0 && place[--size] != '/')
			;
		place[size] = 0;
		return 0;
	}
	if (size + n + 2 > TEXT)
		return -ENAMETOOLONG;
	place[size] = '/';
	memcpy(place + size + 1, name, n + 1);
	return 0;
}

static int is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/*
 * An O_PATH fd of what a path leads to, from `top` or, when it is absolute, from the root. `follow`: through links that only root
 * can make, since they and all directories on the way are root's.
 */
static long walk_to(long top, const char *path, int follow, const struct op *shared_places)
{
	char name[256];
	struct statx st;
	usize n = length(path) + 1;
	if (n > TEXT)
		return -ENAMETOOLONG;
	memcpy(ahead, path, n);
	place[0] = 0;
	long dir = *path == '/' ? open_step(AT_FDCWD, "/", O_DIRECTORY) : open_step(top, ".", O_DIRECTORY);
	int links = 0, is_dir = 1;
	int roots = dir >= 0 && look(dir, &st) >= 0 && is_roots(&st), crowded = roots && is_open(&st);
	const char *rest = ahead;
	while (dir >= 0) {
		long r = next_name(&rest, name);
		if (r == 0)
			return dir;
		if (r > 0 && !is_dir)
			r = -ENOTDIR;
		if (r > 0 && name[0] == '.' && !name[1])
			continue;
		long fd = r < 0 ? r : open_step(dir, name, is_dots(name) ? O_DIRECTORY : 0);
		if (r > 0)
			r = fd < 0 ? fd : look(fd, &st);
		if (r >= 0 && (st.stx_mode & S_IFMT) == S_IFLNK) {
			if (!follow || ++links > MOST_LINKS) {
				r = -ELOOP;
			} else if (!roots || crowded || st.stx_uid != 0 || is_shared(shared_places)) {
				if (go_up_or_down(name) >= 0)
					at = place;
				r = -ELOOP;
			} else {
				r = put_ahead(fd, rest);
			}
			rest = ahead;
			SYS1(__NR_close, fd);
			/* A relative link goes on from here, an absolute one from the root. */
			if (r >= 0 && *ahead == '/') {
				SYS1(__NR_close, dir);
				dir = open_step(AT_FDCWD, "/", O_DIRECTORY);
				crowded = dir >= 0 && look(dir, &st) >= 0 && is_open(&st);
				place[0] = 0;
			}
		} else {
			if (r >= 0)
				r = go_up_or_down(name);
			is_dir = r >= 0 && (st.stx_mode & S_IFMT) == S_IFDIR;
			if (is_dir)
				crowded = is_open(&st);
			if (is_dir && !is_roots(&st))
				roots = 0;
			SYS1(__NR_close, dir);
			dir = fd;
		}
		if (r < 0) {
			if (dir >= 0)
				SYS1(__NR_close, dir);
			return r;
		}
	}
	return dir;
}

static int goes_up(const char *path)
{
	char name[256];
	while (next_name(&path, name) > 0)
		if (name[0] == '.' && name[1] == '.' && !name[2])
			return 1;
	return 0;
}

long open_plain(long top, const char *path, u64 resolve)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	long fd = SYS4(__NR_openat2, top, path, &how, sizeof how);
	if (fd != -ENOSYS && fd != -EPERM)
		return fd;
	/* Kernels have it from 5.6 on; filters of containers and units may not know it, or deny what they cannot look into. */
	if (resolve && goes_up(path))
		return -EXDEV;
	while (resolve && *path == '/')
		path++;
	return walk_to(top, path, 0, 0);
}

long open_following(const char *path, const struct op *shared_places)
{
	long fd = open_plain(AT_FDCWD, path, 0);
	return fd == -ELOOP ? walk_to(AT_FDCWD, path, 1, shared_places) : fd;
}

int is_absent(long error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES;
}

/* What the supervisor found behind the links of a source: an errno and the link it is about, or where it lies. */
struct found {
	u32 op, error;
	char text[];
};
static struct places {
	u32 size;
	u32 unused;
	char found[PLACES_SIZE - 8];
} *places;

static u32 room_of(usize text)
{
	return (u32)((sizeof(struct found) + text + 1 + 7) & ~7ul);
}

static int is_followed(const struct op *op)
{
	return op->code == OP_BIND && (op->numbers[1] & BIND_FOLLOWS);
}

long share_places(const struct header *plan)
{
	const struct op *op = first_op(plan);
	while (!is_last(plan, op) && !is_followed(op))
		op = next_op(op);
	if (!(plan->clone_flags & CLONE_NEWUSER) || is_last(plan, op))
		return 0;
	long r = MAP(PLACES_SIZE, 3 /* READ | WRITE */, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, -1);
	if (r < 0 && r > -4096)
		return r;
	places = (struct places *)r;
	return 0;
}

long find_places(const struct header *plan)
{
	const struct op *shared_places = find_op(plan, OP_SHARED_PLACES);
	for (const struct op *op = first_op(plan); places && !is_last(plan, op); op = next_op(op)) {
		if (!is_followed(op))
			continue;
		const char *source = op_data(op);
		long fd = open_plain(AT_FDCWD, source, 0);
		int has_links = fd == -ELOOP;
		if (has_links) {
			at = source;
			fd = walk_to(AT_FDCWD, source, 1, shared_places);
		}
		if (fd >= 0)
			SYS1(__NR_close, fd);
		if (!has_links)
			continue;
		const char *text = fd < 0 ? at : *place ? place : "/";
		usize n = length(text);
		if (places->size + room_of(n) > sizeof places->found)
			return -ENAMETOOLONG;
		struct found *found = (struct found *)(places->found + places->size);
		found->op = (u32)((const char *)op - (const char *)plan);
		found->error = fd < 0 ? (u32)-fd : 0;
		memcpy(found->text, text, n + 1);
		places->size += room_of(n);
	}
	return 0;
}

/* As above, of a source whose links the supervisor has followed. */
static long open_found(const struct header *plan, const struct op *op)
{
	u32 number = (u32)((const char *)op - (const char *)plan);
	for (u32 offset = 0; offset < places->size;) {
		const struct found *found = (const struct found *)(places->found + offset);
		offset += room_of(length(found->text));
		if (found->op != number)
			continue;
		if (found->error)
			at = found->text;
		return found->error ? -(long)found->error : open_plain(AT_FDCWD, found->text, 0);
	}
	return -ELOOP;
}

long open_source(const struct header *plan, const struct op *op)
{
	const char *source = op_data(op);
	at = source;
	long fd = open_plain(AT_FDCWD, source, 0);
	if (fd != -ELOOP || !is_followed(op))
		return fd;
	return places ? open_found(plan, op) : walk_to(AT_FDCWD, source, 1, find_op(plan, OP_SHARED_PLACES));
}
