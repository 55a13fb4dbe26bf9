/** Launches that came to nothing with the process which forks for the server: another is made for the next. */
import { LaunchError } from "./task.ts";

/** It had been changed, or was killed before it read what was asked of it: that was not made, and may be asked for again. */
export const NO_AGENT = new LaunchError(
  "spawn",
  "launcher",
  "EAGAIN",
  "the process that launches for the server was changed or killed, perhaps by a command of the same user: call again",
);

/** It was killed, and nobody knows whether it had made what was asked of it: a command that must run once is not started twice. */
export const LOST = new LaunchError(
  "spawn",
  "launcher",
  "EAGAIN",
  "the process that launches for the server was killed, perhaps by a command of the same user: call again",
);
