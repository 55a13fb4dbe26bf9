/** The text of one argument value, as it will stand in argv. */

/**
 * A string as it is, a number or boolean as its JSON text, an object or list as its JSON. What execve(2) cannot carry
 * byte for byte is a fault: NUL ends a C string, and half of a surrogate pair has no UTF-8.
 */
export function textOf(value: unknown): string | { readonly fault: string } {
  switch (typeof value) {
    case "string":
      if (value.includes("\0")) return { fault: "contains a NUL character" };
      return value.isWellFormed() ? value : { fault: "contains half of a surrogate pair" };
    case "number":
      return Number.isFinite(value) ? JSON.stringify(value) : { fault: "is not a finite number" };
    case "boolean":
      return String(value);
    case "object":
      return json(value);
    default:
      return { fault: `is a ${typeof value}, which JSON does not have` };
  }
}

function json(value: unknown): string | { readonly fault: string } {
  try {
    // JSON escapes NUL and lone surrogates, so its text always passes.
    return JSON.stringify(value);
  } catch (error) {
    // A cycle or a depth beyond the stack: nothing that came as JSON in a request.
    return { fault: `has no JSON text: ${error instanceof Error ? error.message : String(error)}` };
  }
}
