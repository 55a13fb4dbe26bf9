/** An answer that is a text, and there as a whole: without a Response of the Fetch API, which takes its text apart and has it waited for. */

export type Answered = Response | Answer;

/** By names in lower case, in order. */
class Fields extends Map<string, string> {
  append(name: string, value: string): void {
    const known = this.get(name);
    this.set(name, known === undefined ? value : `${known}, ${value}`);
  }
}

export class Answer {
  readonly headers: Fields;

  /** @param headers with names in lower case; what is set later is not to be there twice, as a cookie could be */
  constructor(
    readonly status: number,
    readonly body: string,
    headers: Readonly<Record<string, string>>,
  ) {
    this.headers = new Fields(Object.entries(headers));
  }

  /** The same, for who knows no other. */
  get response(): Response {
    return new Response(this.body, { status: this.status, headers: [...this.headers] });
  }
}

/** As a Response of the Fetch API. */
export const fetched = (answered: Answered): Response =>
  answered instanceof Answer ? answered.response : answered;
