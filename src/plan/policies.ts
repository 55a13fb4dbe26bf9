/** The policies of the commands of one sandbox, encoded: most of them differ in nothing. */
import { encodePolicy } from "./encode.ts";
import type { Policy, PtyPolicy, SandboxPolicy } from "./policy.ts";

/** Equal blobs are one object: a thousand commands of one sandbox share one memfd. */
export class Blobs {
  readonly #known = new Map<string, Uint8Array>();

  intern(blob: Uint8Array): Uint8Array {
    const key = Bun.hash.xxHash3(blob).toString() + blob.length;
    const known = this.#known.get(key);
    if (known && Buffer.compare(known, blob) === 0) return known;
    this.#known.set(key, blob);
    return blob;
  }
}

/** What a command adds to the policy of its sandbox. */
export interface Own extends Required<Pick<Policy, "rlimits" | "profileLimits">> {
  readonly pty?: PtyPolicy | undefined;
}

export interface EncodedPolicy {
  readonly policy: Policy;
  readonly ops: Uint8Array;
  /** Of a sandbox that waits in a pool. */
  waiting(): Uint8Array;
}

export class Policies {
  readonly #known = new Map<string, EncodedPolicy>();

  constructor(
    readonly sandbox: SandboxPolicy,
    readonly blobs: Blobs,
  ) {}

  with({ rlimits, profileLimits, pty }: Own): EncodedPolicy {
    const { filter, ...terminal } = pty ?? {};
    const key = JSON.stringify([
      rlimits.map(String),
      profileLimits,
      terminal,
      filter && [...filter],
    ]);
    const known = this.#known.get(key);
    if (known) return known;
    const policy: Policy = { ...this.sandbox, rlimits, profileLimits, ...(pty && { pty }) };
    const ops = this.blobs.intern(encodePolicy(policy));
    let waits: Uint8Array | undefined;
    const waiting = () => (waits ??= this.blobs.intern(encodePolicy(policy, true)));
    const encoded = { policy, ops, waiting };
    this.#known.set(key, encoded);
    return encoded;
  }
}
