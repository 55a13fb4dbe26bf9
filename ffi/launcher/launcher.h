/* What the parts of the launcher share. See layout.ts for the contract with the server. */
#ifndef SPAWNBOX_LAUNCHER_H
#define SPAWNBOX_LAUNCHER_H

#include "layout.gen.h"
#include "sys.h"

struct header {
	u32 magic, version, size, clone_flags;
};

struct op {
	u32 code, size, count, bytes;
	u64 numbers[];
};

static inline const char *op_data(const struct op *op)
{
	return (const char *)(op->numbers + op->count);
}

/* What the server reads from the status pipe; RECORD_AT_* of layout.ts are the offsets. */
struct record {
	u32 kind, pid, op;
	i32 error;
	u32 status, maxrss;
	u64 user, system;
	u32 from, supervisor;
	char what[208];
};
_Static_assert(sizeof(struct record) == RECORD_SIZE, "record layout");

/*
 * Where the child tells how far it came: memory shared with the supervisor, since after its filter is set no system call
 * but execve can be counted on. A successful execve takes the mapping away.
 */
enum stage { SETTING_UP, EXECUTING, FAILED };
struct shared {
	volatile u32 stage;
	/* The descriptor of the filter's listener in the child, plus 1; and that the supervisor has it. */
	volatile u32 listener, taken;
	/* The supervisor is as it was when it was made: what has waited may go on. A futex. */
	volatile u32 checked;
	struct record failure;
};
extern struct shared *shared;

/* failure.c: of the launch that this process is for, by the server's count. */
extern u32 launch_number;
/* Set by a step before each system call that names an object: what a failure reports. */
extern const char *at;
__attribute__((noreturn)) void fail(u32 op, const char *what, long error);
void describe_failure(struct record *record, u32 op, const char *what, long error);
void report(struct record *record);
/* All that wait4(2) tells of it; what kind of record it is, and of whom, the supervisor says. */
struct rusage;
void describe_end(struct record *record, int status, const struct rusage *usage);

/* text.c: `number` in decimal, NUL-ended; /proc/PID and `file`, which begins with a slash */
void decimal(char *text, long number);
void path_of(char *path, long pid, const char *file);

/* mounts.c */
long root_begin(void);
long root_end(void);
long mount_bind(const struct header *plan, const struct op *op);
long mount_fs(const struct op *op);
long make_symlink(const char *text, const char *target);
long make_dir(const char *target, u32 mode);
/* `content` of the op, behind its target. */
long make_file(const struct op *op, const char *content);
long mount_setattr_at(const char *target, u64 attributes);
long mount_again(const char *target, u64 attributes);
long hold_lock(const char *target);
/* The init keeps what is at or above this one. */
#define FIRST_KEPT_FD 256

/* settings.c: `needed`: nothing else does what it is for */
long write_text(const char *path, const char *text);
long write_setting(const char *path, const char *text, int needed);

/* shed.c */
long shed_protection(int keep_nice);

/* submounts.c: adds attributes to an attached mount and, if asked, to all below it, on kernels without mount_setattr */
long remount_tree(long top, u64 attributes, int recursive);

/*
 * follow.c. An O_PATH fd of a path without links; `resolve`: more RESOLVE_ flags of openat2(2), for a path below `top`, without
 * "..".
 */
long open_plain(long top, const char *path, u64 resolve);
/* Of a path whose links are followed where only root can make them, and none at or below the strings of `shared_places`, or 0. */
long open_following(const char *path, const struct op *shared_places);
/* Of the source of a BIND. */
long open_source(const struct header *plan, const struct op *op);
/* Whether there is just nothing, or nothing that this user may see. */
int is_absent(long error);
/* In the supervisor, where there is a user namespace: memory shared with the child, then what it will need. */
long share_places(const struct header *plan);
long find_places(const struct header *plan);

/* landlock.c */
long landlock_begin(const struct op *op);
long landlock_path(const char *path, u64 access, u64 links);
long landlock_port(u64 access, u64 port);
long landlock_apply(void);

/* identity.c */
long keep_bounding(u64 mask);
/* What is in the bounding set, as far as it is known: no more than this. A user namespace begins with all. */
extern u64 bounding;
long set_securebits(u64 bits);
long set_groups(const u64 *groups, u32 count);
long set_uid(u32 uid);
long set_ambient(u64 mask);
long set_caps(u64 mask);

/* agent.c: by so many the hard limit of processes is lower here than that of the server */
extern u64 spared_processes;

/* steps.c */
long do_step(const struct header *plan, const struct op *op);

/* wait.c: the words of the command from 1 on, as argv[1…] of the launcher; 0 when there is no memory for them */
char **await_words(int fd, int channel, int has_listener);

/* standing.c: limits, priorities and the like of this process, as they are meant to be */
void note_standing(void);
/* More than one, of those that were noted. */
int has_processors(void);
void forget_standing(void);
/* What of them others have changed since, or 0. */
const char *changed_standing(void);
/* In the supervisor: says so to the child, or ends what has waited, before it goes on. */
void check_supervisor(long tree);
/* In the supervisor: the child has its words, which are somebody else's when the server has not given an order before. */
void check_words(long tree);

/* descriptors.c: close_range(2) */
long close_fds(u32 first, u32 last);

/* keyring.c */
long leave_session_keyring(int no_new_privs);

/* child.c: everything inside the namespaces; never returns */
__attribute__((noreturn)) void child(const struct header *plan, int channel, int exit_pipe, char **argv, char **envp);

/* supervisor.c: the process the server started; never returns */
__attribute__((noreturn)) void supervise(const struct header *plan, char **argv, char **envp);

/* main.c: a launch, whose descriptors are where they are to be; never returns */
__attribute__((noreturn)) void begin(char **argv, char **envp);

/*
 * agent.c: forks a launch for each message, until its socket ends; never returns. `name`: the memory of this process's words, from
 * the first on, so many bytes.
 */
struct agent_message {
	u32 flags, number, words, variables, size; /* of the strings, which follow or are in a file of their own */
	u32 uid, gid; /* of who is to own its stdin and its output, by flags */
	u32 none;
	u64 bounding; /* capabilities that its plan may leave in the bounding set */
	u64 wanted;   /* those of all plans */
};
__attribute__((noreturn)) void serve_launches(char *name, usize size);

/* init.c: PID 1 of early boot; never returns */
__attribute__((noreturn)) void init_of_boot(char **argv, char **envp);

/* steps.c */
long loopback_up(void);

/* listener.c, in the child: sets the filter and waits until the supervisor has its listener */
long set_told_filter(const struct op *op, int channel);
/* Kind of a message on the channel, and no record of the server's: the filter comes next. */
#define LISTENER_COMES 100u
/* Likewise: the words are read, and the supervisor has yet to say that the child may go on. */
#define WORDS_CAME 101u
/* Likewise: with both ends of the terminal, of which the child waits to hear that they are taken. */
#define TERMINAL_COMES 102u

/* terminal.c */
long make_terminal(const struct op *op, int channel);

/* relay.c, in the supervisor */
struct relay {
	int master, slave;  /* -1: there is no terminal, or no more */
	usize begin, end;   /* of what is yet to be written */
	int held;           /* a CR that may belong to an LF */
	enum flow { OVER, DRY, FULL, BUSY } flow; /* what it waits for: nothing, the command, the server, its turn */
};
/* `fds`: master, slave */
void take_terminal(struct relay *relay, const int *fds);
enum flow relay_some(struct relay *relay);
/* All that the tree has left; it is gone. */
void relay_rest(struct relay *relay);

/* listener.c, in the supervisor */
struct listener {
	int fd;                   /* -1: none yet, or nobody is left under the filter */
	int awaited;              /* the child is about to leave it in the shared page */
	const struct op *program; /* OP_VERDICTS */
	usize call_size;          /* of the kernel's struct seccomp_notif */
	struct told_calls *calls;
};
void take_listener(struct listener *listener, int pidfd, long tree);
void serve_listener(struct listener *listener, short events, u32 command, long tree);
void tell_calls(const struct listener *listener, struct record *ended);

/* watch.c: until the whole tree of a task is gone and the server has been told; `signals` is a signalfd; never returns */
struct task {
	long main;    /* child of the supervisor: the command, or the init of its pid namespace */
	u32 pid;      /* the command */
	int channel;  /* messages of the child; ends with exec */
	int exits;    /* the namespace's init tells how the command ended */
	int own_pids; /* there is a pid namespace */
	int failed;
	int group;    /* fd of the tree's cgroup, or -1 */
	int pidfd;    /* of the command: a signal can never reach another process that got its number */
	struct listener listener;
	struct relay terminal;
};
__attribute__((noreturn)) void watch(struct task *task, int signals);

/* verdict.c: what a filter says to a call, as SECCOMP_RET_… */
struct seccomp_data;
u32 verdict(const struct op *program, const struct seccomp_data *call);

/*
 * sweep.c: a round of killing what is, or has become, a child of this process, and all of the cgroup (a directory, or -1).
 * 1: now reap the dead; the tree is gone when there are no children then.
 */
int sweep(int group);
/* What is in the group was killed: it is not as it was, since the kernel kills what is forked into it later, too. */
extern int group_spent;
/* To be called once before. */
long prepare_sweep(void);

static inline const struct op *first_op(const struct header *plan)
{
	return (const struct op *)(plan + 1);
}
static inline const struct op *next_op(const struct op *op)
{
	return (const struct op *)((const char *)op + op->size);
}
static inline int is_last(const struct header *plan, const struct op *op)
{
	return (usize)((const char *)op - (const char *)plan) >= plan->size;
}

static inline const struct op *find_op(const struct header *plan, u32 code)
{
	for (const struct op *op = first_op(plan); !is_last(plan, op); op = next_op(op))
		if (op->code == code)
			return op;
	return 0;
}

#endif
