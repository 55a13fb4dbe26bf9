/** Where Cynagora, the permission service of redpesk, is: `unix:/path`, `unix:@abstract` or `tcp:host:port`. */

export type ServiceAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** `@name` for an abstract one. */
  | { readonly kind: "unix"; readonly path: string };

export const DEFAULT_SERVICE = "unix:/run/cynagora/cynagora.check";
/** As its own library has it. */
export const SERVICE_VARIABLE = "CYNAGORA_SOCKET_CHECK";

/** sun_path without its NUL, see unix(7). */
const PATH_BYTES = 107;

/** undefined where it is none. A path alone will do. */
export function parseService(spec: string): ServiceAddress | undefined {
  const [, path] = /^(?:unix:)?(@[^\0]+|\/[^\0]+)$/.exec(spec) ?? [];
  if (path !== undefined)
    return Buffer.byteLength(path) > PATH_BYTES ? undefined : { kind: "unix", path };
  const [, bracketed, plain, port = ""] =
    /^tcp:(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/\s[\]]+)):(\d{1,5})$/.exec(spec) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) === 0 || Number(port) > 65535) return undefined;
  return { kind: "tcp", host, port: Number(port) };
}

export function written(address: ServiceAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const { host, port } = address;
  return `tcp:${host.includes(":") ? `[${host}]` : host}:${port}`;
}
