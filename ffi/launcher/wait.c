/* A warm sandbox waits here: all is done but the filter, and the command line is still to come. */
#include <linux/prctl.h>

#include "launcher.h"

static void receive(int fd, char *to, usize size)
{
	for (usize i = 0; i < size;) {
		long r = SYS3(__NR_read, fd, to + i, size - i);
		if (r == -4 /* EINTR */)
			continue;
		/* The server has no use for this one. */
		if (r <= 0)
			leave(1);
		i += (usize)r;
	}
}

char **await_words(int fd, int channel, int has_listener)
{
	struct record waiting;
	u32 size;
	/* So that the supervisor has a hold on this process, which others may stop meanwhile. */
	memset(&waiting, 0, sizeof waiting);
	waiting.kind = RECORD_STARTED;
	SYS3(__NR_write, channel, &waiting, sizeof waiting);

	/* What other commands of this user could write to would run without the filter. */
	long dumpable = SYS1(__NR_prctl, PR_GET_DUMPABLE);
	SYS2(__NR_prctl, PR_SET_DUMPABLE, 0);
	receive(fd, (char *)&size, sizeof size);
	if (size == 0 || size > WORDS_SIZE)
		leave(1);
	/* At most as many words as bytes, one before them and one behind. */
	usize table = (size + 2) * sizeof(char *);
	long r = MAP(table + size, 3 /* READ | WRITE */, 0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */, -1);
	if (r < 0 && r > -4096)
		return 0;
	char **words = (char **)r;
	char *text = (char *)r + table;
	receive(fd, text, size);
	SYS1(__NR_close, fd);
	if (text[size - 1])
		leave(1);
	usize count = 1;
	for (usize i = 0; i < size; i++)
		if (i == 0 || !text[i - 1])
			words[count++] = text + i;
	/* One that can no longer watch, or not in time, would end the command or let it be. */
	if (!shared->checked) {
		waiting.kind = WORDS_CAME;
		SYS3(__NR_write, channel, &waiting, sizeof waiting);
	}
	while (!shared->checked)
		SYS4(__NR_futex, &shared->checked, 0 /* FUTEX_WAIT */, 0, 0);
	/* The supervisor has yet to fetch the listener of the filter. Else the exec makes it so. */
	if (has_listener && dumpable == 1)
		SYS2(__NR_prctl, PR_SET_DUMPABLE, 1);
	return words;
}
