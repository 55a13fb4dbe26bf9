/** What is kept of a text that may have no end: its beginning and its last lines, and how much is gone between them. */

/** Lines of the beginning that become one text: each alone takes several times as much memory. */
const TOGETHER = 512;

export class Kept {
  readonly #head: string[] = [];
  #loose = 0;
  readonly #tail: string[] = [];
  #headLength = 0;
  #tailLength = 0;
  #lost = { lines: 0, characters: 0 };

  /** @param most characters of each, about */
  constructor(
    readonly head: number,
    readonly tail: number,
  ) {}

  add(given: string): void {
    // One line can be all there is.
    const room = this.head + this.tail;
    const line = given.length > room ? given.slice(0, room) : given;
    this.#lost.characters += given.length - line.length;
    if (this.#tail.length === 0 && this.#headLength + line.length <= this.head) {
      this.#head.push(line);
      this.#headLength += line.length + 1;
      if (++this.#loose < TOGETHER) return;
      this.#head.push(this.#head.splice(-this.#loose).join("\n"));
      this.#loose = 0;
      return;
    }
    this.#tail.push(line);
    this.#tailLength += line.length + 1;
    while (this.#tailLength > this.tail && this.#tail.length > 1) this.#drop();
  }

  /** Whatever it is split into afterwards. */
  addText(text: string): void {
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    for (const line of lines) this.add(line);
  }

  get isEmpty(): boolean {
    return this.#head.length + this.#tail.length === 0;
  }

  /** Characters that are in none of it. */
  get lost(): number {
    return this.#lost.characters;
  }

  get text(): string {
    const { lines, characters } = this.#lost;
    const gap =
      characters > 0 ? [`[${lines} lines, ${characters} characters, are left out here]`] : [];
    return [...this.#head, ...gap, ...this.#tail].join("\n");
  }

  #drop(): void {
    const line = this.#tail.shift() ?? "";
    this.#tailLength -= line.length + 1;
    this.#lost.lines++;
    this.#lost.characters += line.length + 1;
  }
}
