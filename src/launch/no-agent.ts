/** A launch that came to nothing with the process which forks for the server: it is made anew, so it may be tried again. */
import { LaunchError } from "./task.ts";

export const NO_AGENT = new LaunchError(
  "spawn",
  "launcher",
  "EAGAIN",
  "the process that launches for the server was killed or changed, perhaps by a command of the same user: call again",
);
