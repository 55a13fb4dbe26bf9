/** How processes hide from whoever ends them. */

const MANY = 10;

/** What a command in Python does (see `pythonScript`) before it waits: each leaves more than three processes. */
export const trees = {
  "setsid and double fork": `
for _ in range(${MANY}):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(1000)
        os._exit(0)`,
  "processes that replace themselves for ever": `
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork(): os._exit(0)`,
  "a session for each, stopped": `
for _ in range(${MANY}):
    if os.fork() == 0:
        os.setsid(); os.kill(os.getpid(), signal.SIGSTOP)`,
  "all signals ignored and blocked": `
for n in range(1, 65): attempt(lambda: signal.signal(n, signal.SIG_IGN)) if n not in (9, 17, 19, 32, 33) else None
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
for _ in range(5): os.fork()`,
  "generations of sessions, that ignore signals": `
for n in range(1, 65): attempt(lambda: signal.signal(n, signal.SIG_IGN)) if n not in (9, 17, 19, 28, 32, 33) else None
for _ in range(3):
    if os.fork() == 0:
        for _ in range(5):
            os.setsid() if os.getpgrp() != os.getpid() else None
            if os.fork() == 0: continue
            break
        time.sleep(1000)`,
  "PDEATHSIG taken back by the command itself": `
call("prctl", 1, 0, 0, 0, 0)
for _ in range(${MANY}):
    if os.fork() == 0: time.sleep(1000)`,
  "PDEATHSIG taken back and the parent gone": `
call("prctl", 1, 0, 0, 0, 0)
for _ in range(3):
    if os.fork() == 0:
        call("prctl", 1, 0, 0, 0, 0); call("prctl", 36, 1, 0, 0, 0); os.setsid()
        if os.fork() == 0: os.fork(); time.sleep(1000)`,
} as const;

export type Tree = keyof typeof trees;
export const ways = Object.keys(trees) as Tree[];
