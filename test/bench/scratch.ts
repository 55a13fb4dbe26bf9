/** What the bench leaves lying about while it runs, gone again however it ends. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Killable {
  kill(signal: number): void;
}

export class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), "spawnbox-bench-"));
  readonly #children = new Set<Killable>();

  constructor() {
    // Commands of other users read what is here.
    chmodSync(this.directory, 0o711);
    // Synchronous, so that it also works on the way out of process.exit.
    process.on("exit", () => this.#clean());
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => process.exit(1));
    }
  }

  /** A JSON file in the scratch directory. Returns its path. */
  json(name: string, content: unknown): string {
    return this.file(name, JSON.stringify(content));
  }

  file(name: string, content: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  /** Kills the child with the bench. Returns a function for when it has ended. */
  adopt(child: Killable): () => void {
    this.#children.add(child);
    return () => this.#children.delete(child);
  }

  #clean(): void {
    for (const child of this.#children) child.kill(9);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
