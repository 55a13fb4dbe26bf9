/**
 * Where the console is: at `/` for who reads HTML, and at `/console/`, which it keeps where pages of the user's own, or JSON, are at
 * `/`. It is loaded with the first request for it.
 */
import type { Base } from "./base.ts";

/** The answer; undefined where the console is not meant. */
export async function consoleAt(
  request: Request,
  ancestors: string,
  base: Base,
): Promise<Response | undefined> {
  const { pathname, search } = new URL(request.url);
  // What the page asks for is relative to its address.
  if (pathname === "/console")
    return new Response(null, { status: 302, headers: { location: `${base}/console/${search}` } });
  const name =
    pathname === "/console/" || (pathname === "/" && readsHtml(request.headers.get("accept")))
      ? "page"
      : /^\/console\/(\w+\.\w+)$/.exec(pathname)?.[1];
  if (name === undefined) return undefined;
  const { isConsoleFile, respondConsole } = await import("./console-page.ts");
  return isConsoleFile(name) ? await respondConsole(name, request, ancestors) : undefined;
}

/** Browsers name it; programs that take anything do not, and get JSON. */
const readsHtml = (accepted: string | null): boolean =>
  (accepted ?? "")
    .split(",")
    .some((one) => one.split(";")[0]?.trim().toLowerCase() === "text/html");
