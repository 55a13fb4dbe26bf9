/** All that is fuzzed. */
import { argv } from "./argv.ts";
import { bpf } from "./bpf.ts";
import { certificates, forwarded } from "./callers.ts";
import { config } from "./config.ts";
import { answers, brokers, calls } from "./fleet.ts";
import { frames } from "./frames.ts";
import { importing } from "./importing.ts";
import { launcher } from "./launcher.ts";
import { outputs } from "./output.ts";
import { records } from "./records.ts";
import { restRequests } from "./rest.ts";
import { packets, wsapi } from "./rpc.ts";
import { tools } from "./tools.ts";
import type { Target } from "./target.ts";

export const targets: readonly Target[] = [
  frames,
  packets,
  wsapi,
  importing,
  records,
  restRequests,
  tools,
  calls,
  answers,
  brokers,
  certificates,
  forwarded,
  config,
  argv,
  outputs,
  bpf,
  launcher,
];
