/* Closing descriptors where close_range(2) is not known: filters of containers and units are older than the kernel below them. */
#include <linux/fcntl.h>

#include "launcher.h"

#define EPERM 1
#define ENOSYS 38
/* Fewer are closed one by one, without /proc. */
#define FEW 1024

struct entry {
	u64 inode, offset;
	u16 size;
	u8 type;
	char name[];
};

/* The kernel lists them by their numbers, so those that are closed on the way take no other's place. */
static long close_listed(u32 first, u32 last)
{
	char buffer[1024] __attribute__((aligned(8)));
	long dir = SYS4(__NR_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return dir;
	long got;
	while ((got = SYS3(__NR_getdents64, dir, buffer, sizeof buffer)) > 0) {
		for (long i = 0; i < got;) {
			const struct entry *entry = (const struct entry *)(buffer + i);
			const char *c = entry->name;
			u32 fd = 0;
			i += entry->size;
			while (*c >= '0' && *c <= '9')
				fd = fd * 10 + (u32)(*c++ - '0');
			if (*c == 0 && fd >= first && fd <= last && fd != (u32)dir)
				SYS1(__NR_close, fd);
		}
	}
	SYS1(__NR_close, dir);
	return got;
}

long close_fds(u32 first, u32 last)
{
	long r = SYS3(__NR_close_range, first, last, 0);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	if (last - first >= FEW)
		return close_listed(first, last);
	for (u32 fd = first; fd <= last; fd++)
		SYS1(__NR_close, fd);
	return 0;
}
