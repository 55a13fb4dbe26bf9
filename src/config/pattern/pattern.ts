/**
 * Regular expressions of a config that meet what clients send: matched in time proportional to the text, whatever the text.
 *
 * The runtime's own engine backtracks, so that forty characters can take it minutes. Here all ways through the pattern are
 * followed at once (Thompson's construction), one character after the other; only what a single character is, the runtime's
 * engine is asked.
 */
import { type Atom, type Node, parsePattern, PatternError } from "./parse.ts";

/** Of the program, which is what repetitions become when they are written out. */
const MOST_STEPS = 5000;
/**
 * Work for one check: ways times characters. It takes some 30 ms on a desktop, and is plenty for what fits into an argument; a
 * check that wants more fails, since nobody else is answered meanwhile.
 */
const MOST_WORK = 2_000_000;
/** Of what a pattern remembers of characters: bytes, one for each atom, but never fewer characters than the first 256. */
const MOST_REMEMBERED = 256 * 1024;
/** What it costs to ask the runtime whether a character is an atom, in steps. */
const ASKING = 5;

/** What the patterns of one check may take together: a list can have a hundred thousand texts. */
export class Effort {
  #left = MOST_WORK;

  /** Nothing is left: what has failed since the renewal has not been looked at to its end. */
  get isSpent(): boolean {
    return this.#left < 0;
  }
  renew(): void {
    this.#left = MOST_WORK;
  }
  spend(work: number): void {
    this.#left -= work;
  }
}

export interface Pattern {
  /** Whether it is found in the text, as `RegExp.test` with the flag `u` would say; false also once the effort is spent. */
  test(text: string, effort: Effort): boolean;
}

const KINDS = ["atom", "split", "match", "start", "end", "boundary"] as const;
const [ATOM, SPLIT, MATCH, START, END, BOUNDARY] = [0, 1, 2, 3, 4, 5];

/** Each goes on at the one after it, but for a split, which goes on at two, or at another one. */
interface Step {
  readonly kind: (typeof KINDS)[number];
  first: number;
  second: number;
}

/** @throws PatternError telling what it cannot be, and what to write instead */
export function compilePattern(pattern: string): Pattern {
  const program = new Program();
  program.add(parsePattern(pattern));
  program.step("match");
  return new Matcher(
    program.steps,
    [...program.atoms.keys()].map((atom) => new RegExp(`^(?:${atom})$`, "u")),
  );
}

class Program {
  readonly steps: Step[] = [];
  /** By source, its index. */
  readonly atoms = new Map<Atom, number>();
  #work = 0;

  add(node: Node): void {
    // Also of what leaves no step, such as an empty group that is repeated.
    if (++this.#work > MOST_STEPS || this.steps.length > MOST_STEPS) {
      throw new PatternError(
        `with its repetitions written out it has more than ${MOST_STEPS} steps: use smaller numbers, or maxLength`,
      );
    }
    if (node.kind === "sequence") for (const part of node.parts) this.add(part);
    else if (node.kind === "choice") this.#choice(node.options);
    else if (node.kind === "repeat") this.#repeat(node.node, node.least, node.most);
    else if (node.kind === "atom") this.step("atom", this.#index(node.atom));
    else if (node.kind === "boundary")
      this.step("boundary", this.#index(node.word), Number(node.wanted));
    else this.step(node.kind);
  }

  step(kind: Step["kind"], first = -1, second = -1): Step {
    const step = { kind, first, second };
    this.steps.push(step);
    return step;
  }

  #index(atom: Atom): number {
    const index = this.atoms.get(atom) ?? this.atoms.size;
    this.atoms.set(atom, index);
    return index;
  }

  #choice(options: readonly Node[]): void {
    const ends: Step[] = [];
    for (const [i, option] of options.entries()) {
      if (i === options.length - 1) {
        this.add(option);
        break;
      }
      const split = this.step("split", this.steps.length + 1);
      this.add(option);
      ends.push(this.step("split"));
      split.second = this.steps.length;
    }
    for (const end of ends) end.first = this.steps.length;
  }

  #repeat(node: Node, least: number, most: number): void {
    for (let i = 0; i < least; i++) this.add(node);
    if (most === Infinity) {
      const at = this.steps.length;
      const split = this.step("split", at + 1);
      this.add(node);
      this.step("split", at);
      split.second = this.steps.length;
      return;
    }
    const skips: Step[] = [];
    for (let i = least; i < most; i++) {
      skips.push(this.step("split", this.steps.length + 1));
      this.add(node);
    }
    for (const skip of skips) skip.second = this.steps.length;
  }
}

class Matcher implements Pattern {
  readonly #remembered = new Map<number, Uint8Array>();
  readonly #mostRemembered: number;
  readonly #none: Uint8Array;
  readonly #kinds: Uint8Array;
  /** Of an atom or a boundary its atom, of a split where it goes on first. */
  readonly #firsts: Int32Array;
  /** Of a split where else it goes on, or -1; of a boundary whether it is wanted. */
  readonly #seconds: Int32Array;
  /** For each step the round in which it was reached last. */
  readonly #reached: Int32Array;
  #waiting: Int32Array;
  #next: Int32Array;
  readonly #pending: Int32Array;

  constructor(
    steps: readonly Step[],
    readonly atoms: readonly RegExp[],
  ) {
    this.#none = new Uint8Array(atoms.length);
    this.#mostRemembered = Math.max(256, Math.floor(MOST_REMEMBERED / (atoms.length + 1)));
    this.#kinds = Uint8Array.from(steps, ({ kind }) => KINDS.indexOf(kind));
    this.#firsts = Int32Array.from(steps, ({ first }) => first);
    this.#seconds = Int32Array.from(steps, ({ second }) => second);
    this.#reached = new Int32Array(steps.length);
    this.#waiting = new Int32Array(steps.length);
    this.#next = new Int32Array(steps.length);
    this.#pending = new Int32Array(2 * steps.length + 1);
  }

  test(text: string, effort: Effort): boolean {
    this.#reached.fill(-1);
    let before = this.#none;
    let count = 0;
    for (let at = 0; ;) {
      // Each character costs something, whether a way goes on or not.
      let work = 1;
      const code = text.codePointAt(at);
      const here = code === undefined ? this.#none : this.#atomsOf(code, effort);
      const pending = this.#pending;
      let next = 0;
      for (let i = -1; i < count; i++) {
        // A match may begin anywhere.
        pending[0] = i < 0 ? 0 : (this.#waiting[i] ?? 0);
        for (let left = 1; left > 0;) {
          const step = pending[--left] ?? 0;
          if (this.#reached[step] === at) continue;
          this.#reached[step] = at;
          work++;
          const first = this.#firsts[step] ?? 0;
          const second = this.#seconds[step] ?? 0;
          switch (this.#kinds[step]) {
            case ATOM:
              if (here[first] === 1) this.#next[next++] = step + 1;
              break;
            case SPLIT:
              if (second >= 0) pending[left++] = second;
              pending[left++] = first;
              break;
            case MATCH:
              return true;
            case START:
              if (at === 0) pending[left++] = step + 1;
              break;
            case END:
              if (code === undefined) pending[left++] = step + 1;
              break;
            case BOUNDARY:
              if (Number(before[first] !== here[first]) === second) pending[left++] = step + 1;
              break;
          }
        }
      }
      effort.spend(work);
      if (code === undefined || effort.isSpent) return false;
      [this.#waiting, this.#next] = [this.#next, this.#waiting];
      count = next;
      before = here;
      at += code > 0xffff ? 2 : 1;
    }
  }

  /** For each atom whether the character is one. */
  #atomsOf(code: number, effort: Effort): Uint8Array {
    const known = this.#remembered.get(code);
    if (known) return known;
    const char = String.fromCodePoint(code);
    const found = Uint8Array.from(this.atoms, (atom) => Number(atom.test(char)));
    effort.spend(ASKING * this.atoms.length);
    if (this.#remembered.size >= this.#mostRemembered) this.#remembered.clear();
    this.#remembered.set(code, found);
    return found;
  }
}
