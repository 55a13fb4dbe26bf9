/** Bodies that are there anyway: the Fetch API would make a copy of what is the same for everybody, and have a text waited for. */

const shared = new WeakMap<Response, Uint8Array>();
const texts = new WeakMap<Response, string>();

/** The response is sent with these bytes, which nobody changes, for its body. */
export function withSharedBody(response: Response, bytes: Uint8Array): Response {
  shared.set(response, bytes);
  return response;
}

export const sharedBodyOf = (response: Response): Uint8Array | undefined => shared.get(response);

/** @param text what its body is */
export function withText(response: Response, text: string): Response {
  texts.set(response, text);
  return response;
}

export const textOf = (response: Response): string | undefined => texts.get(response);
