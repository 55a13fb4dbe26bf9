/*
 * What is told to the server. What went wrong: by the supervisor on the status pipe, by the child in memory that they share. And how a
 * command has ended.
 */
#include <linux/resource.h>

#include "launcher.h"

const char *at = "";

struct shared *shared;

u32 launch_number;

/* All supervisors of a server share the pipe: each record says of which launch it is. */
void report(struct record *record)
{
	record->from = launch_number;
	record->supervisor = (u32)SYS0(__NR_getpid);
	SYS3(__NR_write, FD_STATUS, record, sizeof *record);
}

void describe_failure(struct record *record, u32 op, const char *what, long error)
{
	memset(record, 0, sizeof *record);
	record->kind = RECORD_FAILED;
	record->op = op;
	record->error = (i32)-error;
	for (usize i = 0; what[i] && i < sizeof record->what - 1; i++)
		record->what[i] = what[i];
}

static u64 microseconds(long seconds, long rest)
{
	return (u64)seconds * 1000000 + (u64)rest;
}

void describe_end(struct record *record, int status, const struct rusage *usage)
{
	*record = (struct record){
		.status = (u32)status,
		.maxrss = (u32)usage->ru_maxrss,
		.user = microseconds(usage->ru_utime.tv_sec, usage->ru_utime.tv_usec),
		.system = microseconds(usage->ru_stime.tv_sec, usage->ru_stime.tv_usec),
	};
}

void fail(u32 op, const char *what, long error)
{
	struct record record;
	describe_failure(&record, op, what, error);
	report(&record);
	leave(125);
}
