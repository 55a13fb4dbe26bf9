/** What an event of a task carries, and its JSON: made once, for all clients that get it and for who comes later. */

export class EventData {
  // Not #private: there may be a million a second, and those take longer to make.
  private constructor(
    private known: unknown,
    private text: string | undefined,
  ) {}

  static of(value: object): EventData {
    return new EventData(value, undefined);
  }

  /** @param json of an object */
  static written(json: string): EventData {
    return new EventData(undefined, json);
  }

  /** Numbers may be others than they were written as. */
  get value(): unknown {
    return (this.known ??= JSON.parse(this.json) as unknown);
  }

  get json(): string {
    return (this.text ??= stringify(this.known) ?? "null");
  }

  /** The same with its number among the events of the task. */
  numbered(number: number): EventData {
    const { json } = this;
    // It may be a text that says why there is none.
    return json.endsWith("}") ? EventData.written(`${json.slice(0, -1)},"seq":${number}}`) : this;
  }

  toJSON(): unknown {
    return this.value;
  }
}

/** What a client is sent as it is for who looks into it. */
export const valueOf = (data: unknown): unknown => (data instanceof EventData ? data.value : data);

/** JSON of a value, or of a text that says why there is none (a cycle, a BigInt, too deep): a bug of a plugin. */
export function stringify(value: unknown): string | undefined {
  if (value instanceof EventData) return value.json;
  try {
    return JSON.stringify(value);
  } catch (error) {
    return JSON.stringify(`cannot be written as JSON: ${String(error)}`);
  }
}
