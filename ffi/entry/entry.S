/*
 * The first code of the executable. What the runtime cannot be without, and aborts for with a crash report of its own long before
 * anything of ours, is looked for here, and said in one line: /proc; the system calls that filters of units and containers take
 * away; and on x86_64 the instructions that it is compiled with: x86-64-v2, of which SSE4.2 and POPCNT came last. It would die of
 * SIGILL without a word; a virtual machine whose processor is qemu64 or kvm64 is like that.
 *
 * Each call is made with arguments for which the kernel answers EINVAL, so nothing comes of it: a filter looks first.
 *
 * A server also gets a variable from here (`variable`): the runtime reads how it compiles from its environment alone, and before
 * anything of ours. It stands behind all others, and the first of a name counts: an operator's. The dynamic loader has
 * been here by now: what getenv(3) reads is its `environ`, so that is changed together with the stack.
 *
 * No relocations, and all registers that the program's own entry reads are left alone. The last sixteen bytes are the distances
 * from here to `environ` and to that entry: patch.ts writes them.
 */
#define EPERM 1
#define EACCES 13
#define ENOSYS 38
	.text
entry:
#if defined(__x86_64__)
	/* rdx: what to call at exit, see the System V ABI. A system call changes rax, rcx, r11. */
	mov %rdx, %r8
	mov $1, %eax			/* ecx: features; rbx means nothing at an entry */
	cpuid
	and $0x00900000, %ecx		/* SSE4.2, POPCNT */
	cmp $0x00900000, %ecx
	lea processor(%rip), %rsi
	mov $(path - processor), %edx
	jne 2f
	mov $21, %eax			/* access(path, F_OK) */
	lea path(%rip), %rdi
	xor %esi, %esi
	syscall
	test %rax, %rax
	jns 1f
	cmp $-EPERM, %rax		/* by a filter: nothing is known */
	je 1f
	cmp $-ENOSYS, %rax
	je 1f
	lea line(%rip), %rsi
	mov $(end - line), %edx
2:	mov $1, %eax			/* write(2, line, …) */
	mov $2, %edi
	syscall
	mov $231, %eax			/* exit_group(1) */
	mov $1, %edi
	syscall
1:	lea calls(%rip), %rbx
3:	movzwl (%rbx), %eax
	movslq 4(%rbx), %rdi
	movslq 8(%rbx), %rsi
	mov $-1, %edx
	xor %r10d, %r10d
	syscall
	cmp $-EPERM, %rax
	je 4f
	cmp $-EACCES, %rax
	je 4f
	cmp $-ENOSYS, %rax
	jne 5f
	cmpw $0, 2(%rbx)		/* what may be missing */
	jne 5f
4:	mov $1, %eax			/* write(2, begin, …) */
	mov $2, %edi
	lea begin(%rip), %rsi
	mov $(rest - begin), %edx
	syscall
	mov $1, %eax			/* its name */
	lea 16(%rbx), %rsi
	movzwl 12(%rbx), %edx
	syscall
	lea rest(%rip), %rsi
	mov $(over - rest), %edx
	jmp 2b
5:	add $32, %rbx
	lea processor(%rip), %rax
	cmp %rax, %rbx
	jne 3b
	/* Arguments, variables and auxiliary vector, each ended by 0: copied below themselves, with one variable more. */
	cmpq $2, (%rsp)
	jl 9f
	mov 16(%rsp), %rax
	cmpl $0x76726573, (%rax)	/* "serve", and its end */
	jne 9f
	cmpw $0x65, 4(%rax)
	jne 9f
	mov (%rsp), %rcx
	lea 16(%rsp,%rcx,8), %rbx	/* the first variable */
	mov %rbx, %rdx
6:	add $8, %rdx
	cmpq $0, -8(%rdx)
	jne 6b
	lea -8(%rdx), %r9		/* behind the last */
7:	add $16, %rdx			/* behind the auxiliary vector */
	cmpq $0, -16(%rdx)
	jne 7b
	mov %rsp, %rsi
	mov %rdx, %rax
	sub %rsi, %rax
	sub %rax, %rsp
	sub $16, %rsp
	and $-16, %rsp
	sub %rsi, %rbx
	add %rsp, %rbx			/* the first variable there */
	lea environ(%rip), %rax
	mov (%rax), %rcx
	lea entry(%rip), %rax
	mov %rbx, (%rax,%rcx)
	mov %rsp, %rdi
	mov %r9, %rcx
	sub %rsi, %rcx
	shr $3, %rcx
	rep movsq
	lea variable(%rip), %rax
	stosq
	mov %rdx, %rcx
	sub %rsi, %rcx
	shr $3, %rcx
	rep movsq
9:	mov %r8, %rdx
	lea entry(%rip), %rax
	add distance(%rip), %rax
	jmp *%rax
#elif defined(__aarch64__)
	/* x0: what to call at exit. A system call changes x0 only. */
	mov x9, x0
	mov x0, #-100			/* faccessat(AT_FDCWD, path, F_OK) */
	adr x1, path
	mov x2, #0
	mov x8, #48
	svc #0
	tbz x0, #63, 1f
	cmn x0, #EPERM			/* by a filter: nothing is known */
	b.eq 1f
	cmn x0, #ENOSYS
	b.eq 1f
	adr x1, line
	mov x2, #(end - line)
2:	mov x0, #2			/* write(2, line, …) */
	mov x8, #64
	svc #0
	mov x0, #1			/* exit_group(1) */
	mov x8, #94
	svc #0
1:	adr x10, calls
3:	ldrh w8, [x10]
	ldrsw x0, [x10, #4]
	ldrsw x1, [x10, #8]
	mov w2, #-1
	mov x3, #0
	svc #0
	cmn x0, #EPERM
	b.eq 4f
	cmn x0, #EACCES
	b.eq 4f
	cmn x0, #ENOSYS
	b.ne 5f
	ldrh w11, [x10, #2]		/* what may be missing */
	cbnz w11, 5f
4:	mov x0, #2			/* write(2, begin, …) */
	adr x1, begin
	mov x2, #(rest - begin)
	mov x8, #64
	svc #0
	mov x0, #2			/* its name */
	add x1, x10, #16
	ldrh w2, [x10, #12]
	svc #0
	adr x1, rest
	mov x2, #(over - rest)
	b 2b
5:	add x10, x10, #32
	adr x11, processor
	cmp x10, x11
	b.ne 3b
	/* Arguments, variables and auxiliary vector, each ended by 0: copied below themselves, with one variable more. */
	ldr x0, [sp]
	cmp x0, #2
	b.lt 9f
	ldr x1, [sp, #16]
	ldr w2, [x1]
	ldr w3, serve			/* "serve", and its end */
	cmp w2, w3
	b.ne 9f
	ldrh w2, [x1, #4]
	cmp w2, #0x65
	b.ne 9f
	mov x1, sp
	add x2, x1, #16
	add x2, x2, x0, lsl #3		/* the first variable */
	mov x3, x2
6:	ldr x4, [x3], #8
	cbnz x4, 6b
	sub x6, x3, #8			/* behind the last */
7:	ldr x4, [x3], #16		/* behind the auxiliary vector */
	cbnz x4, 7b
	sub x4, x3, x1
	sub x5, x1, x4
	sub x5, x5, #16
	and x5, x5, #-16
	mov sp, x5
	sub x2, x2, x1
	add x2, x2, x5			/* the first variable there */
	adr x7, entry
	ldr x4, environ
	str x2, [x7, x4]
8:	ldr x4, [x1], #8
	str x4, [x5], #8
	cmp x1, x6
	b.ne 8b
	adr x4, variable
	str x4, [x5], #8
8:	ldr x4, [x1], #8
	str x4, [x5], #8
	cmp x1, x3
	b.ne 8b
9:	mov x0, x9
	adr x16, entry
	ldr x17, distance
	add x16, x16, x17
	br x16
serve:	.ascii "serv"
#else
#error "spawnbox is for x86_64 and aarch64"
#endif
begin:	.ascii "spawnbox: a seccomp filter around it denies "
rest:	.ascii "(2), which its runtime needs: --security-opt seccomp=unconfined, or a newer runtime, of the container; or SystemCallFilter= with @system-service @resources, in the unit\n"
over:
	.balign 8
/* Number, whether it may be missing, two arguments, the length of its name, its name; 32 bytes each. */
.macro call number, optional, first, second, name
	.short \number, \optional
	.long \first, \second
	.short 2f - 1f, 0
1:	.ascii "\name"
2:	.space 16 - (2b - 1b)
.endm
#if defined(__x86_64__)
#define CALL(x64, arm64, optional, first, second, name) call x64, optional, first, second, name
#else
#define CALL(x64, arm64, optional, first, second, name) call arm64, optional, first, second, name
#endif
calls:
	CALL(302, 261, 0, 0, 99, "prlimit64")
	CALL(435, 435, 1, 0, 0, "clone3")
	CALL(290, 19, 0, 0, -1, "eventfd2")
	CALL(291, 20, 0, -1, 0, "epoll_create1")
	CALL(318, 278, 0, 0, 0, "getrandom")
processor:
#if defined(__x86_64__)
	.ascii "spawnbox: this processor lacks SSE4.2 or POPCNT, which it needs (x86-64-v2); of a virtual machine, choose another CPU model, such as host\n"
#endif
path:	.asciz "/proc/self/maps"
line:	.ascii "spawnbox: /proc is not mounted, and nothing of it works without: mount -t proc proc /proc\n"
end:
/*
 * As it comes, the runtime compiles a function well after some 70 calls of what it has compiled roughly, where a board may see no more
 * than that between two starts: from the fiftieth launch on, one takes a sixth less of its time by this.
 */
variable: .asciz "BUN_JSC_thresholdForOptimizeAfterWarmUp=60"
	.balign 8
environ:
	.quad 0
distance:
	.quad 0
#if defined(__linux__) && defined(__ELF__)
	.section .note.GNU-stack, "", %progbits
#endif
