/** The lines of stdout and stderr, in the reply. */
import { collect } from "./collect.ts";
import type { Encoder } from "./encoder.ts";
import { checkOptions } from "./options.ts";

export const sync: Encoder = {
  name: "sync",
  synchronous: true,
  check: (opts) => checkOptions("sync", opts),
  begin: (opts, _emit, about) => collect(opts, about),
};
