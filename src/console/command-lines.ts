/** The same call from a shell. Secrets are in none of them. */
import { base, token } from "./connection.ts";
import type { Json } from "./json.ts";

export interface CommandLine {
  readonly name: string;
  readonly text: string;
}

export function commandLines(api: string, verb: string, args: Json): CommandLine[] {
  const { origin } = location;
  const json = escaped(JSON.stringify(args));
  const path = [api, ...verb.split("/")].map(encodeURIComponent).join("/");
  const secret = token() === undefined ? "" : `-H "Authorization: Bearer $TOKEN" `;
  const file = secret === "" ? "" : "--token-file FILE ";
  const given = secret === "" ? "" : `--token "$TOKEN" `;
  const socket = `${origin.replace(/^http/, "ws")}${base}api`;
  return [
    {
      name: "curl",
      // Not --json, which curl has since 7.82: Ubuntu 22.04 and RHEL 9 have older ones.
      text: `curl ${secret}${quoted(`${origin}${base}api/${path}`)} -H 'Content-Type: application/json' -d ${quoted(json)}`,
    },
    {
      name: "spawnbox",
      text: `spawnbox call ${file}--url ${quoted(origin + base.replace(/\/$/, ""))} ${quoted(`${api}/${verb}`)} ${quoted(json)}`,
    },
    {
      name: "afb-client",
      text: `afb-client --human ${given}${quoted(socket)} ${quoted(api)} ${quoted(verb)} ${quoted(json)}`,
    },
  ];
}

/** What a terminal, or an eye, would take for something else. */
const escaped = (json: string): string =>
  json.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** As a POSIX shell reads it back. */
export const quoted = (text: string): string =>
  /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
