/*
 * A filter run over one call, as the kernel runs it: Documentation/networking/filter.rst. The server has checked the program
 * (src/plan/bpf.ts); an instruction that is unknown here all the same ends the process.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "launcher.h"

/* A division by zero ends the program so, too. */
#define KILL SECCOMP_RET_KILL_THREAD

/* Arithmetic of 32 bits; a shift counts its lower five. 0 for an operation that is none. */
static int compute(u32 *a, u16 operation, u32 operand)
{
	switch (operation) {
	case BPF_ADD:
		*a += operand;
		return 1;
	case BPF_SUB:
		*a -= operand;
		return 1;
	case BPF_MUL:
		*a *= operand;
		return 1;
	case BPF_DIV:
		if (operand == 0)
			return 0;
		*a /= operand;
		return 1;
	case BPF_OR:
		*a |= operand;
		return 1;
	case BPF_AND:
		*a &= operand;
		return 1;
	case BPF_LSH:
		*a <<= operand & 31;
		return 1;
	case BPF_RSH:
		*a >>= operand & 31;
		return 1;
	case BPF_XOR:
		*a ^= operand;
		return 1;
	case BPF_NEG:
		*a = -*a;
		return 1;
	default:
		return 0;
	}
}

static int holds(u16 comparison, u32 a, u32 operand)
{
	switch (comparison) {
	case BPF_JEQ:
		return a == operand;
	case BPF_JGT:
		return a > operand;
	case BPF_JGE:
		return a >= operand;
	default:
		return (a & operand) != 0; /* BPF_JSET */
	}
}

u32 verdict(const struct op *program, const struct seccomp_data *call)
{
	const struct sock_filter *code = (const struct sock_filter *)op_data(program);
	usize count = program->bytes / sizeof *code;
	u32 a = 0, x = 0, memory[BPF_MEMWORDS];
	memset(memory, 0, sizeof memory);

	/* Jumps only lead forward, so this ends. */
	for (usize pc = 0; pc < count; pc++) {
		u32 k = code[pc].k;
		u16 kind = code[pc].code;
		switch (kind) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (k > sizeof *call - 4)
				return KILL;
			memcpy(&a, (const char *)call + k, 4);
			continue;
		case BPF_LD | BPF_IMM:
			a = k;
			continue;
		case BPF_LDX | BPF_IMM:
			x = k;
			continue;
		case BPF_LD | BPF_W | BPF_LEN:
			a = sizeof *call;
			continue;
		case BPF_LDX | BPF_W | BPF_LEN:
			x = sizeof *call;
			continue;
		case BPF_LD | BPF_MEM:
			a = memory[k % BPF_MEMWORDS];
			continue;
		case BPF_LDX | BPF_MEM:
			x = memory[k % BPF_MEMWORDS];
			continue;
		case BPF_ST:
			memory[k % BPF_MEMWORDS] = a;
			continue;
		case BPF_STX:
			memory[k % BPF_MEMWORDS] = x;
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_MISC | BPF_TXA:
			a = x;
			continue;
		case BPF_JMP | BPF_JA:
			pc += k;
			continue;
		case BPF_RET | BPF_K:
			return k;
		case BPF_RET | BPF_A:
			return a;
		}
		u32 operand = BPF_SRC(kind) == BPF_X ? x : k;
		if (BPF_CLASS(kind) == BPF_JMP)
			pc += holds(BPF_OP(kind), a, operand) ? code[pc].jt : code[pc].jf;
		else if (BPF_CLASS(kind) != BPF_ALU || !compute(&a, BPF_OP(kind), operand))
			return KILL;
	}
	return KILL;
}
