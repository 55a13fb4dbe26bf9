/** The path of a URL as names of files. */

/**
 * Decoded once, after it was taken apart: an encoded `/`, `\` or NUL is part of no name, and `%252e` is none that exists.
 * A trailing slash adds nothing. undefined when a name is empty, begins with a dot (hidden, `.`, `..`), or cannot be decoded.
 */
export function namesOf(path: string): string[] | undefined {
  const parts = path.replace(/^\//, "").split("/");
  if (parts.at(-1) === "") parts.pop();
  const names: string[] = [];
  for (const part of parts) {
    const name = decoded(part);
    if (name === undefined || !/^[^./\\\0][^/\\\0]*$/.test(name)) return undefined;
    names.push(name);
  }
  return names;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
