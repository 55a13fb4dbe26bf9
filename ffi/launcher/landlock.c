/* Landlock: a ruleset is made, filled with paths as the command will see them, and applied for good. See landlock(7). */
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "launcher.h"

/* Not in every kernel's headers that this is built with: the layouts are ABI. */
struct ruleset {
	u64 files, net, scopes;
};
struct path_rule {
	u64 access;
	int parent;
} __attribute__((packed));
struct port_rule {
	u64 access, port;
};

/* EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV */
#define FILE_RIGHTS (1ull | 1ull << 1 | 1ull << 2 | 1ull << 14 | 1ull << 15)
#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446

static int ruleset = -1;
/* OP_LANDLOCK: its strings are where links are not followed */
static const struct op *shared_places;

long landlock_begin(const struct op *op)
{
	const u64 *handled = op->numbers;
	shared_places = op;
	struct ruleset attributes = { handled[0], handled[1], handled[2] };
	/* Older kernels know a shorter struct and refuse a longer one only where it is not zero. */
	usize size = attributes.scopes ? 24 : attributes.net ? 16 : 8;
	at = "ruleset";
	long fd = SYS3(CREATE_RULESET, &attributes, size, 0);
	if (fd < 0)
		return fd;
	ruleset = (int)fd;
	SYS3(__NR_fcntl, ruleset, F_SETFD, FD_CLOEXEC);
	return 0;
}

long landlock_path(const char *path, u64 access, u64 links)
{
	at = path;
	long fd = links == LINKS_ALL	? SYS4(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0)
		  : links == LINKS_ROOTS ? open_following(path, shared_places)
					 : open_plain(AT_FDCWD, path, 0);
	if (fd < 0)
		return fd;
	struct statx st;
	long r = SYS5(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);
	/* Rights that only directories have are refused on anything else. */
	if (r >= 0 && (st.stx_mode & S_IFMT) != S_IFDIR)
		access &= FILE_RIGHTS;
	struct path_rule rule = { access, (int)fd };
	if (r >= 0)
		r = SYS4(ADD_RULE, ruleset, 1 /* PATH_BENEATH */, &rule, 0);
	SYS1(__NR_close, fd);
	return r;
}

long landlock_port(u64 access, u64 port)
{
	struct port_rule rule = { access, port };
	at = "port";
	return SYS4(ADD_RULE, ruleset, 2 /* NET_PORT */, &rule, 0);
}

long landlock_apply(void)
{
	at = "ruleset";
	long r = SYS2(RESTRICT_SELF, ruleset, 0);
	SYS1(__NR_close, ruleset);
	return r;
}
