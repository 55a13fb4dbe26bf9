/*
 * The master of a command's terminal: the supervisor passes what comes there on to the pipe of the server, no faster than that is
 * read. It holds the slave as well, so that a command which closes all of its own, and opens the terminal anew, is no end of it:
 * the end is that of the tree.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/poll.h>

#include "launcher.h"

#define EAGAIN 11
#define STDOUT 1
/* The kernel gives less than this in one read(2) of a terminal. */
#define MOST_READ 4096
/* Buffers full, before the supervisor looks at its other duties. */
#define ROUNDS 8

static char buffer[4 * MOST_READ];

static void end(struct relay *relay)
{
	SYS1(__NR_close, relay->master);
	if (relay->slave >= 0)
		SYS1(__NR_close, relay->slave);
	SYS1(__NR_close, STDOUT);
	relay->master = relay->slave = -1;
}

/* The pipe is only this process's by now, so its flags are too. */
static void do_not_wait(long fd)
{
	long flags = SYS3(__NR_fcntl, fd, F_GETFL, 0);
	SYS3(__NR_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
}

void take_terminal(struct relay *relay, const int *fds)
{
	relay->master = fds[0];
	relay->slave = fds[1];
	do_not_wait(relay->master);
	do_not_wait(STDOUT);
}

/* The terminal makes CR LF of each LF: at first it does not, but the command may say so. */
static int adds_returns(const struct relay *relay)
{
	struct termios modes;
	const tcflag_t both = OPOST | ONLCR;
	return SYS3(__NR_ioctl, relay->master, TCGETS, &modes) >= 0 && (modes.c_oflag & both) == both;
}

/*
 * The inverse of that: of each CR LF the CR goes, so what the command has printed comes out. In place; a CR at the end is held back
 * until it is known what follows.
 */
static usize without_returns(char *text, usize size, int *held)
{
	usize kept = 0;
	for (usize i = 0; i < size; i++) {
		*held = i + 1 == size && text[i] == '\r';
		if (text[i] != '\r' || (i + 1 < size && text[i + 1] != '\n'))
			text[kept++] = text[i];
	}
	return kept;
}

/* So many bytes more; 0: there is nothing now; negative: there will be nothing any more. */
static long fill(struct relay *relay)
{
	long got = 0;
	relay->begin = relay->end = 0;
	while (sizeof buffer - relay->end > MOST_READ) {
		char *to = buffer + relay->end;
		usize size = relay->held ? 1 : 0;
		if (relay->held)
			*to = '\r';
		got = SYS3(__NR_read, relay->master, to + size, MOST_READ);
		if (got <= 0)
			break;
		size += (usize)got;
		relay->held = 0;
		relay->end += adds_returns(relay) ? without_returns(to, size, &relay->held) : size;
	}
	/* Nothing follows for now: it was the command's own. */
	if (got <= 0 && relay->held) {
		relay->end++;
		relay->held = 0;
	}
	if (relay->end > 0)
		return (long)relay->end;
	return got == -EAGAIN || got > 0 ? 0 : -1;
}

enum flow relay_some(struct relay *relay)
{
	for (int i = 0; relay->master >= 0; i++) {
		if (i == ROUNDS)
			return relay->flow = BUSY;
		if (relay->begin == relay->end) {
			long got = fill(relay);
			if (got == 0)
				return relay->flow = DRY;
			/* EIO: it was hung up. */
			if (got < 0)
				break;
		}
		long put = SYS3(__NR_write, STDOUT, buffer + relay->begin, relay->end - relay->begin);
		if (put == -EAGAIN)
			return relay->flow = FULL;
		/* EPIPE: the server reads no more. */
		if (put < 0)
			break;
		relay->begin += (usize)put;
	}
	if (relay->master >= 0)
		end(relay);
	return relay->flow = OVER;
}

void relay_rest(struct relay *relay)
{
	/* What others have been given of the slave, outside of the tree, is not waited for. */
	for (;;) {
		enum flow flow = relay_some(relay);
		if (flow == OVER || flow == DRY)
			return;
		struct pollfd polled = { .fd = STDOUT, .events = POLLOUT };
		if (flow == FULL)
			SYS5(__NR_ppoll, &polled, 1, 0, 0, 8);
	}
}
