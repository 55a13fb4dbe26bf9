/* Who the command is: groups, gid, bounding set, securebits, uid, capability sets. Each call is checked by the caller. */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "launcher.h"

#define EINVAL 22
/* CAP_CHECKPOINT_RESTORE, the last of Linux 5.9: older ones are not served. */
#define LAST_SURE 40

u64 bounding = ~0ull;

/*
 * Drops every capability outside `mask` from the bounding set; the kernel says with EINVAL where its list ends, and nobody else: a
 * filter that answers so of one which every kernel has has let nothing be dropped. Each takes new
 * credentials, together some 60 µs: what the agent has dropped for all is not dropped again.
 */
long keep_bounding(u64 mask)
{
	for (u32 cap = 0; cap < 64; cap++) {
		if ((mask | ~bounding) >> cap & 1)
			continue;
		long r = SYS2(__NR_prctl, PR_CAPBSET_DROP, cap);
		if (r == -EINVAL && cap > LAST_SURE)
			break;
		if (r < 0)
			return r;
	}
	bounding &= mask;
	return 0;
}

long set_securebits(u64 bits)
{
	return SYS2(__NR_prctl, PR_SET_SECUREBITS, bits);
}

long set_groups(const u64 *groups, u32 count)
{
	u32 list[64];
	if (count > 64)
		return -EINVAL;
	for (u32 i = 0; i < count; i++)
		list[i] = (u32)groups[i];
	return SYS2(__NR_setgroups, count, list);
}

/* With SECBIT_NO_SETUID_FIXUP set before, the capabilities outlive the switch, so that CAPS can choose from them. */
long set_uid(u32 uid)
{
	return SYS3(__NR_setresuid, uid, uid, uid);
}

static void halves(u64 mask, u32 part[2])
{
	part[0] = (u32)mask;
	part[1] = (u32)(mask >> 32);
}

/* Inheritable and ambient are exactly `mask`; permitted and effective stay, for what is still to be done. */
long set_ambient(u64 mask)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct data[2];
	u32 part[2];
	halves(mask, part);
	long r = SYS2(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	if (r >= 0)
		r = SYS2(__NR_capget, &head, data);
	if (r < 0)
		return r;
	/* Filters of units deny capset (~@privileged) to who has no capabilities and wants none. */
	if (data[0].inheritable != part[0] || data[1].inheritable != part[1]) {
		data[0].inheritable = part[0];
		data[1].inheritable = part[1];
		r = SYS2(__NR_capset, &head, data);
	}
	for (u32 cap = 0; r >= 0 && cap < 64; cap++)
		if (mask >> cap & 1)
			r = SYS3(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
	return r;
}

/* Permitted, effective and inheritable are exactly `mask`; the kernel keeps the ambient set within. */
long set_caps(u64 mask)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct data[2];
	u32 part[2];
	halves(mask, part);
	long r = SYS2(__NR_capget, &head, data);
	if (r < 0)
		return r;
	int same = 1;
	for (int i = 0; i < 2; i++) {
		same &= data[i].effective == part[i] && data[i].permitted == part[i] && data[i].inheritable == part[i];
		data[i].effective = data[i].permitted = data[i].inheritable = part[i];
	}
	return same ? 0 : SYS2(__NR_capset, &head, data);
}
