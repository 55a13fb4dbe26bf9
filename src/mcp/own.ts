/** What a caller has started lately, by whatever session: ids of tasks. */

const MOST = 100;

export class Own {
  readonly ids = new Set<string>();

  add(id: string): void {
    this.ids.add(id);
    const [first] = this.ids;
    if (this.ids.size > MOST && first !== undefined) this.ids.delete(first);
  }
}
