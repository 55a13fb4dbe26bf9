/*
 * Entry: map the plan, check that it is one of ours, supervise. argv[1…] is the command, unless it comes later (wait.c), envp its
 * environment. Without a command that is a trial: every step is done, and instead of the exec it ends as a command would.
 */
#include <linux/mman.h>
#include <linux/stat.h>
#include <linux/fcntl.h>
#include <linux/sched.h>

#include "launcher.h"

#define PROT_READ_ONLY 1
#define EINVAL 22

static int is_binary(u32 code)
{
	return code == OP_SECCOMP || code == OP_SECCOMP_LISTENER || code == OP_VERDICTS || code == OP_FILE;
}

static const struct shape {
	u8 numbers, strings;
} shapes[] = { SHAPES };

/* CLONE_NEW…: any other flag would make the child share what it must not, such as this stack. */
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* The numbers and strings that its step reads are there, and every string is ended. */
static int has_shape(const struct op *op)
{
	struct shape shape = { 0, 0 };
	if (op->code < sizeof shapes / sizeof *shapes)
		shape = shapes[op->code];
	const char *data = op_data(op);
	usize strings = 0;
	for (usize i = 0; i < op->bytes; i++)
		strings += !data[i];
	if (op->count < shape.numbers || strings < shape.strings)
		return 0;
	if (op->code == OP_FSMOUNT && strings % 2)
		return 0;
	return !op->bytes || is_binary(op->code) || !data[op->bytes - 1];
}

/* Every op inside the blob, and of its shape: after this the interpreter trusts it. */
static int well_formed(const struct header *plan, usize size)
{
	if (size < sizeof *plan || plan->magic != MAGIC || plan->version != VERSION || plan->size != size)
		return 0;
	if (plan->clone_flags & ~NAMESPACES)
		return 0;
	usize offset = sizeof *plan;
	while (offset < size) {
		const struct op *op = (const struct op *)((const char *)plan + offset);
		if (size - offset < sizeof *op || op->size > size - offset || op->size % 8)
			return 0;
		if (op->size < sizeof *op + (u64)op->count * 8 + op->bytes || !has_shape(op))
			return 0;
		offset += op->size;
	}
	/* Who passes calls on must say what becomes of them. */
	return !find_op(plan, OP_SECCOMP_LISTENER) || find_op(plan, OP_VERDICTS);
}

static int is_same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* With the plan at its descriptor, and the command in argv[1…]. */
void begin(char **argv, char **envp)
{
	struct statx st;
	long r = SYS5(__NR_statx, FD_PLAN, "", AT_EMPTY_PATH, STATX_SIZE, &st);
	if (r < 0)
		fail(OP_PLAN_READ, "fstat", r);
	r = MAP(st.stx_size, PROT_READ_ONLY, MAP_PRIVATE, FD_PLAN);
	if (r < 0 && r > -4096)
		fail(OP_PLAN_READ, "mmap", r);
	const struct header *plan = (const struct header *)r;
	if (!well_formed(plan, st.stx_size))
		fail(OP_PLAN_READ, "layout", -EINVAL);
	supervise(plan, argv, envp);
}

/*
 * execve resets handlers but keeps what is ignored: the server ignores SIGPIPE, and where whoever started it ignores SIGCHLD, the dead
 * vanish, and no wait would tell of them: wait(2). Once, for all that is forked from here: nothing of ours changes them again.
 */
static void reset_signals(void)
{
	/* struct sigaction of the kernel: all zero is SIG_DFL, on both architectures. */
	u64 none[4] = { 0, 0, 0, 0 };
	for (int sig = 1; sig <= 64; sig++)
		SYS4(__NR_rt_sigaction, sig, none, 0, 8);
}

__attribute__((noreturn, used)) void start(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	char **envp = argv + argc + 1;
	/* The server names its launcher "spawnbox: api/verb"; as PID 1 under any other name this is the init of early boot. */
	static const char mine[] = "spawnbox: ";
	int named = argc > 0;
	for (int i = 0; named && i < 10; i++)
		named = argv[0][i] == mine[i];
	if (!named && SYS0(__NR_getpid) == 1)
		init_of_boot(argv, envp);
	if (!named) {
		static const char usage[] = "spawnbox launcher: started by the spawnbox server, or by the kernel as init\n";
		SYS3(__NR_write, 2, usage, sizeof usage - 1);
		leave(100);
	}
	reset_signals();
	/* Its second word is room for other names, and its environment is empty. */
	static const char agent[] = AGENT_NAME;
	if (argc == 2 && is_same(argv[0], agent))
		serve_launches(argv[0], (usize)(argv[1] + length(argv[1]) + 1 - argv[0]));
	begin(argv, envp);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl start\n");
#endif
