/** Bodies that are there anyway, the same for everybody: the Fetch API would make a copy for each who asks. */

const shared = new WeakMap<Response, Uint8Array>();

/** The response is sent with these bytes, which nobody changes, for its body. */
export function withSharedBody(response: Response, bytes: Uint8Array): Response {
  shared.set(response, bytes);
  return response;
}

export const sharedBodyOf = (response: Response): Uint8Array | undefined => shared.get(response);
