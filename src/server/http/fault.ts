/** A request that cannot be answered as one: what is wrong with it, and the HTTP status that says so. */
export class HttpFault extends Error {
  /** @param http such as 400, 413, 431 */
  constructor(
    readonly http: number,
    message: string,
  ) {
    super(message);
  }
}
