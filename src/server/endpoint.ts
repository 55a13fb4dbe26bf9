/** Where a server listens. */
export type Endpoint =
  /** Address or name, such as `127.0.0.1`, `0.0.0.0` or `::`; port 0 takes a free one. */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** Permissions of the socket file: 0660 by default. */
  | { readonly kind: "unix"; readonly path: string; readonly mode?: number }
  /** A socket that listens already, handed over by a service manager. Its file, if it has one, is not ours. */
  | { readonly kind: "fd"; readonly fd: number };
