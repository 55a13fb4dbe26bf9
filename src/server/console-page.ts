/**
 * The console (src/console) as responses: the page, and what it fetches once it is needed. They are in the executable as they are
 * served; whoever asks first has them read.
 */
import more from "../../dist/console/more.js.gz" with { type: "file" };
import page from "../../dist/console/page.html.gz" with { type: "file" };
import words from "../../dist/console/words.json.gz" with { type: "file" };
import { withSharedBody } from "./http/shared-body.ts";

const FILES = {
  page: { path: page, type: "text/html; charset=utf-8" },
  "more.js": { path: more, type: "text/javascript; charset=utf-8" },
  "words.json": { path: words, type: "application/json" },
} as const;
export type ConsoleFile = keyof typeof FILES;

interface Part {
  readonly compressed: Uint8Array<ArrayBuffer>;
  readonly plain: Uint8Array;
  readonly etag: string;
}

const known = new Map<ConsoleFile, Promise<Part>>();

function partOf(name: ConsoleFile): Promise<Part> {
  const part = known.get(name) ?? read(FILES[name].path);
  known.set(name, part);
  return part;
}

export const isConsoleFile = (name: string): name is ConsoleFile => Object.hasOwn(FILES, name);

let policy: Promise<string> | undefined;

/**
 * @param ancestors who may show the page in a frame: a source list of `frame-ancestors`, see CSP
 * @returns the answer to a GET or HEAD
 */
export async function respondConsole(
  name: ConsoleFile,
  request: Request,
  ancestors: string,
): Promise<Response> {
  const { compressed, plain, etag } = await partOf(name);
  const headers: Record<string, string> = {
    etag,
    "content-type": FILES[name].type,
    // The same address has JSON for programs.
    vary: "accept, accept-encoding",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "content-security-policy": `${await (policy ??= policyOf())}; frame-ancestors ${ancestors}`,
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
  };
  if (request.headers.get("if-none-match")?.includes(etag))
    return new Response(null, { status: 304, headers });
  const isCompressed = takesGzip(request.headers.get("accept-encoding"));
  const body = isCompressed ? compressed : plain;
  if (isCompressed) headers["content-encoding"] = "gzip";
  headers["content-length"] = String(body.length);
  return withSharedBody(new Response(null, { headers }), body);
}

async function read(path: string): Promise<Part> {
  const compressed = await Bun.file(path).bytes();
  const plain = Bun.gunzipSync(compressed);
  return { compressed, plain, etag: `"${Bun.hash.xxHash3(compressed).toString(36)}"` };
}

/** Nothing but these very scripts and this style is obeyed, and nothing but this server is called. */
async function policyOf(): Promise<string> {
  const parts = await Promise.all([partOf("page"), partOf("more.js")]);
  const [html = "", second = ""] = parts.map(({ plain }) => Buffer.from(plain).toString());
  const within = (elements: RegExp): string[] =>
    [...html.matchAll(elements)].map(([, text = ""]) => text);
  const hashes = (texts: readonly string[]): string => texts.map(hashOf).join(" ");
  return [
    "default-src 'none'",
    `script-src ${hashes([...within(/<script[^>]*>(.*?)<\/script>/gs), second])}`,
    `style-src ${hashes(within(/<style>(.*?)<\/style>/gs))}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

const hashOf = (text: string): string =>
  `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`;

/** RFC 9110, section 12.5.3: what is named with a weight of 0 is not taken. */
function takesGzip(accepted: string | null): boolean {
  return (accepted ?? "").split(",").some((one) => {
    const [name = "", ...parameters] = one.toLowerCase().split(";");
    if (!["gzip", "x-gzip", "*"].includes(name.trim())) return false;
    return !parameters.some((parameter) => /^\s*q\s*=\s*0(\.0*)?\s*$/.test(parameter));
  });
}
