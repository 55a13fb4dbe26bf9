/** What clients in languages without `undefined` write for no arguments; the SDK calls it an internal error. */
import { isObject } from "../object.ts";

/** @param message as it came */
export function withoutNull<Message extends object>(message: Message): Message {
  const { params } = message as { readonly params?: unknown };
  if (!isObject(params) || params["arguments"] !== null) return message;
  const { arguments: _, ...others } = params;
  return { ...message, params: others };
}
