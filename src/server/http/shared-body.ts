/** Bodies that are there anyway: the Fetch API would make a copy of what is the same for everybody. */

const shared = new WeakMap<Response, Uint8Array>();

/** The response is sent with these bytes, which nobody changes, for its body. */
export function withSharedBody(response: Response, bytes: Uint8Array): Response {
  shared.set(response, bytes);
  return response;
}

export const sharedBodyOf = (response: Response): Uint8Array | undefined => shared.get(response);
