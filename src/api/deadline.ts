/** A limit on how long the server waits for what it cannot stop. */
import { AfbError } from "../errors.ts";

/** Rejects with `timeout` when `work` has not settled after `ms`; what it still does is then nobody's concern. */
export async function within<T>(ms: number, what: string, work: T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new AfbError("timeout", `${what} took more than ${ms / 1000} s`)),
      ms,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
