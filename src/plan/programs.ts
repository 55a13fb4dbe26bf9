/**
 * The programs of the commands, each looked at once for all sandboxes that show the same files to the same user: a thousand
 * commands may run one program, in fifty sandboxes that differ in their host's name.
 */
import type { Machine } from "./machine.ts";
import { checkProgram } from "./program.ts";
import { programContext, type Surroundings } from "./program-context.ts";
import { changeableProgram } from "./program-owner.ts";

/** Of one sandbox. */
export interface ProgramsInside {
  /** Throws where the program cannot be executed: see program.ts. */
  check(path: string): void;
  /** What to tell of a program that can: see program-owner.ts. */
  changeable(path: string): string | undefined;
}

/** While a config is compiled: what is on this machine may be otherwise the next time. */
export class Programs {
  readonly #known = new Map<string, ProgramsInside>();

  constructor(readonly machine: Machine) {}

  /** @param env of the commands */
  inside(policy: Surroundings, env: Readonly<Record<string, string>>): ProgramsInside {
    const context = programContext(policy, env, this.machine);
    // The server is one for all.
    const { mounts, landlock, identity, groups, caps, label } = policy;
    const { searchPath, killsForeign, mayGain, isServersBound } = context;
    // Whatever either of the two looks at.
    const key = keyOf({
      mounts,
      landlock,
      identity,
      groups,
      caps,
      label,
      searchPath,
      killsForeign,
      mayGain: mayGain && [...mayGain],
      isServersBound,
    });
    const known = this.#known.get(key);
    if (known) return known;
    const inside: ProgramsInside = {
      check: once((path) => checkProgram(context, path)),
      changeable: remembering((path) => changeableProgram(path, policy, context, this.machine)),
    };
    this.#known.set(key, inside);
    return inside;
  }
}

/** What is in files that the sandbox makes is the config's own business. */
const keyOf = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    typeof part === "bigint" ? `${part}` : part instanceof Uint8Array ? null : part,
  );

/** Remembers that a check has passed. */
function once(check: (path: string) => void): (path: string) => void {
  const passed = new Set<string>();
  return (path) => {
    if (passed.has(path)) return;
    check(path);
    passed.add(path);
  };
}

/** Remembers answers. */
function remembering<Answer>(find: (path: string) => Answer): (path: string) => Answer {
  const answers = new Map<string, Answer>();
  return (path) => {
    const answer = answers.has(path) ? (answers.get(path) as Answer) : find(path);
    answers.set(path, answer);
    return answer;
  };
}
