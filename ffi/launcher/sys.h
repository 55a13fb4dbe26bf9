/*
 * System calls without a C library: the launcher runs between fork and exec of other people's programs, as root, and
 * wants no locale, no allocator, no lazy state, no thread broadcast of setuid. Each wrapper returns what the kernel
 * returns: a negative errno on failure.
 */
#ifndef SPAWNBOX_SYS_H
#define SPAWNBOX_SYS_H

#include <asm/unistd.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 i32;
typedef unsigned long usize;

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "spawnbox: the launcher knows x86_64 and aarch64"
#endif

/* What a call is not given is 0. */
#define SYS0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(n, a, b, c, d, e, f) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Of a file from its beginning, or of none, wherever there is room: mmap(2). */
#define MAP(size, protection, flags, fd) SYS6(__NR_mmap, 0, size, protection, flags, fd, 0)

/* The compiler may call these for struct copies even when freestanding. */
void *memset(void *s, int c, usize n);
void *memcpy(void *d, const void *s, usize n);

static inline usize length(const char *s)
{
	usize n = 0;
	while (s[n])
		n++;
	return n;
}

__attribute__((noreturn)) static inline void leave(int code)
{
	SYS1(__NR_exit_group, code);
	/* A seccomp filter may deny even that: end by a fault rather than run on. */
	SYS1(__NR_exit, code);
	__builtin_trap();
}

#endif
