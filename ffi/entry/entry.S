/*
 * The first code of the executable. The runtime needs /proc from its very start, long before anything of ours, and without it
 * aborts with a crash report of its own. So that is looked for here, and said in one line. Likewise, on x86_64, the instructions
 * that it is compiled with: x86-64-v2, of which SSE4.2 and POPCNT came last. It would die of SIGILL without a word; a virtual
 * machine whose processor is qemu64 or kvm64 is like that.
 *
 * No relocations, no stack, and all registers that the program's own entry reads are left alone. The last eight bytes are the
 * distance from here to that entry: patch.ts writes them.
 */
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
	lea line(%rip), %rsi
	mov $(end - line), %edx
2:	mov $1, %eax			/* write(2, line, …) */
	mov $2, %edi
	syscall
	mov $231, %eax			/* exit_group(1) */
	mov $1, %edi
	syscall
1:	mov %r8, %rdx
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
	mov x0, #2			/* write(2, line, …) */
	adr x1, line
	mov x2, #(end - line)
	mov x8, #64
	svc #0
	mov x0, #1			/* exit_group(1) */
	mov x8, #94
	svc #0
1:	mov x0, x9
	adr x16, entry
	ldr x17, distance
	add x16, x16, x17
	br x16
#else
#error "spawnbox is for x86_64 and aarch64"
#endif
#if defined(__x86_64__)
processor:
	.ascii "spawnbox: this processor lacks SSE4.2 or POPCNT, which it needs (x86-64-v2); of a virtual machine, choose another CPU model, such as host\n"
#endif
path:	.asciz "/proc/self/maps"
line:	.ascii "spawnbox: /proc is not mounted, and nothing of it works without: mount -t proc proc /proc\n"
end:
	.balign 8
distance:
	.quad 0
#if defined(__linux__) && defined(__ELF__)
	.section .note.GNU-stack, "", %progbits
#endif
