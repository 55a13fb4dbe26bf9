/** Fields behind the body of a response (RFC 9110, section 6.5), which the Fetch API has no place for. */

export interface Trailers {
  /** Those that may come, lest a client be surprised. */
  readonly names: readonly string[];
  /** Asked for once the body is over. */
  fields(): readonly (readonly [name: string, value: string])[];
}

const trailing = new WeakMap<Response, Trailers>();

/** The response is sent as it comes, with these behind it where a client can have them. */
export function withTrailers(response: Response, trailers: Trailers): Response {
  trailing.set(response, trailers);
  return response;
}

export const trailersOf = (response: Response): Trailers | undefined => trailing.get(response);
