/* The interpreter: one op, one step. It decides nothing; an op it does not know is a failure. */
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>

#include "launcher.h"

#define ENOSYS 38
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000

long loopback_up(void)
{
	static const u8 others[] = { AF_INET6, AF_UNIX };
	at = "lo";
	long fd = SYS3(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Units may deny the family; those of any other do as well, see netdevice(7). */
	for (u32 i = 0; fd < 0 && i < sizeof others / sizeof *others; i++) {
		long other = SYS3(__NR_socket, others[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		fd = other < 0 ? fd : other;
	}
	if (fd < 0)
		return fd;
	/* struct ifreq, netdevice(7); <linux/if.h> would bring the C library in. */
	struct {
		char name[16];
		short flags;
		char unused[22];
	} request;
	memset(&request, 0, sizeof request);
	memcpy(request.name, "lo", 3);
	request.flags = 0x1 | 0x40; /* IFF_UP | IFF_RUNNING */
	long r = SYS3(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
	SYS1(__NR_close, fd);
	return r;
}

/*
 * `lowers`: a hard limit that is lower already holds. Others may have to be raised, which the kernel may refuse; but what the server
 * itself may have is not refused because it keeps some. Where both limits of the processor are reached at once, the kernel kills
 * without the signal that says what for: that comes a second before.
 */
static long set_limit(u64 resource, u64 value, int lowers)
{
	struct rlimit64 own;
	long r = SYS4(__NR_prlimit64, 0, resource, 0, &own);
	if (r < 0)
		return r;
	if (lowers && own.rlim_max < value)
		value = own.rlim_max;
	if (resource == RLIMIT_NPROC && value > own.rlim_max && value - own.rlim_max <= spared_processes)
		value = own.rlim_max;
	struct rlimit64 limit = { value, value };
	if (resource == RLIMIT_CPU && value < own.rlim_max)
		limit.rlim_max++;
	/* A filter may deny to set them. */
	if (own.rlim_cur == value && own.rlim_max == limit.rlim_max)
		return 0;
	return SYS4(__NR_prlimit64, 0, resource, &limit, 0);
}

static long seccomp(const struct op *op)
{
	struct sock_fprog program = {
		.len = (u16)(op->bytes / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)op_data(op),
	};
	return SYS3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

long do_step(const struct header *plan, const struct op *op)
{
	const u64 *n = op->numbers;
	const char *data = op_data(op), *second = op->bytes ? data + length(data) + 1 : data;
	at = "";
	switch (op->code) {
	case OP_ROOT_BEGIN:
		return root_begin();
	case OP_BIND:
		return mount_bind(plan, op);
	case OP_FSMOUNT:
		return mount_fs(op);
	case OP_SYMLINK:
		return make_symlink(data, second);
	case OP_DIR:
		return make_dir(data, (u32)n[0]);
	case OP_SETATTR:
		return mount_setattr_at(data, n[0]);
	case OP_FILE:
		return make_file(op, second);
	case OP_REBIND:
		return mount_again(data, n[0]);
	case OP_LOCK:
		return hold_lock(data);
	case OP_LABEL:
		return write_text(data, second);
	case OP_SETTING:
		return write_setting(data, second, n[0] != 0);
	case OP_ROOT_END:
		return root_end();
	case OP_UNSHARE:
		return SYS1(__NR_unshare, n[0]);
	case OP_LOOPBACK:
		return loopback_up();
	case OP_HOSTNAME:
		at = data;
		return SYS2(__NR_sethostname, data, length(data));
	case OP_NICE:
		return SYS3(__NR_setpriority, 0, 0, (long)n[0] - 20);
	case OP_RLIMIT:
		return set_limit(n[0], n[1], n[2] != 0);
	case OP_UMASK:
		SYS1(__NR_umask, n[0]);
		return 0;
	case OP_CHDIR:
		at = data;
		return SYS1(__NR_chdir, data);
	case OP_SETGROUPS:
		return set_groups(n, op->count);
	case OP_SETGID:
		return SYS3(__NR_setresgid, n[0], n[0], n[0]);
	case OP_BOUNDING:
		return keep_bounding(n[0]);
	case OP_SECUREBITS:
		return set_securebits(n[0]);
	case OP_SETUID:
		return set_uid((u32)n[0]);
	case OP_AMBIENT:
		return set_ambient(n[0]);
	case OP_CAPS:
		return set_caps(n[0]);
	case OP_NO_NEW_PRIVS:
		return SYS2(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1);
	case OP_LANDLOCK:
		return landlock_begin(op);
	case OP_LANDLOCK_PATH:
		return landlock_path(data, n[0], n[1]);
	case OP_LANDLOCK_PORT:
		return landlock_port(n[0], n[1]);
	case OP_LANDLOCK_APPLY:
		return landlock_apply();
	case OP_SECCOMP:
		return seccomp(op);
	default:
		return -ENOSYS;
	}
}
