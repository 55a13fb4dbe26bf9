/* What the compiler calls by itself, as there is no C library. */
#include "sys.h"

/* Volatile: the compiler must not turn these loops into calls of themselves. */
void *memset(void *s, int c, usize n)
{
	volatile char *p = s;
	while (n--)
		*p++ = (char)c;
	return s;
}

void *memcpy(void *d, const void *s, usize n)
{
	volatile char *p = d;
	const char *q = s;
	while (n--)
		*p++ = *q++;
	return d;
}
