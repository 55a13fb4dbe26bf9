#include "launcher.h"

void decimal(char *text, long number)
{
	char digits[20];
	int n = 0;
	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*text++ = digits[--n];
	*text = 0;
}

void path_of(char *path, long pid, const char *file)
{
	memcpy(path, "/proc/", 6);
	decimal(path + 6, pid);
	memcpy(path + length(path), file, length(file) + 1);
}
