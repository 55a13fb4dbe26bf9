/* Who the command is: groups, gid, bounding set, securebits, uid, capability sets. Each call is checked by the caller. */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "launcher.h"

#define EINVAL 22

/* Drops every capability outside `mask` from the bounding set; the kernel says with EINVAL where its list ends. */
long keep_bounding(u64 mask)
{
	for (u32 cap = 0; cap < 64; cap++) {
		if (mask >> cap & 1)
			continue;
		long r = SYS5(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (r == -EINVAL)
			break;
		if (r < 0)
			return r;
	}
	return 0;
}

long set_securebits(u64 bits)
{
	return SYS5(__NR_prctl, PR_SET_SECUREBITS, bits, 0, 0, 0);
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

/* KEEPCAPS: the permitted set outlives the switch, so that CAPS can choose from it; execve clears the bit. */
long set_uid(u32 uid)
{
	long r = SYS5(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (r < 0)
		return r;
	return SYS3(__NR_setresuid, uid, uid, uid);
}

/* Permitted, effective, inheritable and ambient are exactly `mask`. */
long set_caps(u64 mask)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct data[2];
	for (int i = 0; i < 2; i++) {
		u32 part = (u32)(mask >> (32 * i));
		data[i].effective = data[i].permitted = data[i].inheritable = part;
	}
	long r = SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (r < 0)
		return r;
	r = SYS2(__NR_capset, &head, data);
	if (r < 0)
		return r;
	for (u32 cap = 0; cap < 64; cap++) {
		if (!(mask >> cap & 1))
			continue;
		r = SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
		if (r < 0)
			return r;
	}
	return 0;
}
