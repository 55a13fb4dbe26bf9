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
