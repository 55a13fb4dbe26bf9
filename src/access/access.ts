/** What each caller may do, by its token or by the user that it is. Immutable: a reload makes another. */
import type { Caller, CertificateNames } from "../api/client.ts";
import type { Granted, Grants } from "../api/privileges.ts";
import { hashOf } from "./token.ts";

export type Who =
  | { readonly kind: "token"; readonly hash: string }
  | { readonly kind: "user"; readonly uid: number }
  | { readonly kind: "group"; readonly gid: number }
  /** Any of these names, see CertificateNames. */
  | { readonly kind: "certificate"; readonly names: readonly string[] }
  /** Over MQTT; `*`: any. */
  | { readonly kind: "operator"; readonly name: string }
  | { readonly kind: "anyone" };

export interface Rule {
  readonly who: Who;
  readonly privileges: ReadonlySet<string> | "all";
  /** What it is, for people. */
  readonly info?: string;
}

/** In the place of an operator's name, which cannot be this. */
const ANY = "*";

const NOTHING: Grants = { privileges: new Set() };

export class Access {
  readonly #tokens = new Map<string, Rule[]>();
  readonly #users = new Map<number, Rule[]>();
  readonly #groups = new Map<number, Rule[]>();
  readonly #certificates = new Map<string, Rule[]>();
  readonly #operators = new Map<string, Rule[]>();
  readonly #anyone: Rule[] = [];
  readonly #owners: ReadonlySet<number>;

  /**
   * @param uid The server's user, who like root may do everything anyway: either can change the server, or stop it.
   * @param serviceOnly none of that counts: a permission service alone says who may what
   */
  constructor(
    readonly rules: readonly Rule[],
    uid: number,
    readonly serviceOnly = false,
  ) {
    this.#owners = new Set([0, uid]);
    for (const rule of rules) {
      const { who } = rule;
      if (who.kind === "token") add(this.#tokens, who.hash, rule);
      else if (who.kind === "user") add(this.#users, who.uid, rule);
      else if (who.kind === "group") add(this.#groups, who.gid, rule);
      else if (who.kind === "certificate")
        for (const name of who.names) add(this.#certificates, name, rule);
      else if (who.kind === "operator") add(this.#operators, who.name, rule);
      else this.#anyone.push(rule);
    }
  }

  /** Whether anybody but root and the server's user can have a privilege. */
  grants(privilege: string): boolean {
    return (
      !this.serviceOnly &&
      this.rules.some(({ privileges }) => privileges === "all" || privileges.has(privilege))
    );
  }

  /** What the file says of who calls: by its token, or else by its user or certificate. Nothing follows from it. */
  readonly nameOf = ({ token, user, certificate, operator }: Caller): string | undefined => {
    const own = token === undefined || token === "" ? [] : this.#tokens.get(hashOf(token));
    const rules = [
      ...(own ?? []),
      ...(user ? (this.#users.get(user.uid) ?? []) : []),
      ...this.#certified(certificate),
      ...(operator === undefined ? [] : (this.#operators.get(operator) ?? [])),
    ];
    return rules.find(({ info }) => info !== undefined)?.info;
  };

  /** Whether the file names an operator of a fleet at all: others cannot even call what needs no privilege. */
  knows(operator: string): boolean {
    return !this.serviceOnly && this.#operating(operator).length > 0;
  }

  /** Whether anybody may call by way of a message broker. */
  get hasOperators(): boolean {
    return !this.serviceOnly && this.#operators.size > 0;
  }

  readonly of: Granted = ({ token, user, certificate, operator }: Caller): Grants => {
    if (this.serviceOnly) return NOTHING;
    // Not what somebody has put under no_new_privs, as spawnbox does: that was to have less than its user.
    if (user && !user.confined && this.#owners.has(user.uid)) return { privileges: "all" };
    const known = token === undefined || token === "" ? [] : this.#tokens.get(hashOf(token));
    const rules = [
      // Who can connect to this machine is not whoever some broker lets in.
      ...(operator === undefined ? this.#anyone : this.#operating(operator)),
      ...(known ?? []),
      ...(user ? (this.#users.get(user.uid) ?? []) : []),
      ...this.#certified(certificate),
      ...(user?.gids.flatMap((gid) => this.#groups.get(gid) ?? []) ?? []),
    ];
    const privileges = rules.some((rule) => rule.privileges === "all")
      ? "all"
      : new Set(rules.flatMap((rule) => [...rule.privileges]));
    return { privileges, ...(known === undefined && { unknownToken: true }) };
  };

  #operating(name: string): Rule[] {
    return [...(this.#operators.get(name) ?? []), ...(this.#operators.get(ANY) ?? [])];
  }

  /** A connection may outlive the certificate that it began with. */
  #certified(certificate: CertificateNames | undefined): Rule[] {
    if (!certificate || this.#certificates.size === 0 || Date.now() >= certificate.until) return [];
    return certificate.names.flatMap((name) => this.#certificates.get(name) ?? []);
  }
}

function add<Key>(map: Map<Key, Rule[]>, key: Key, rule: Rule): void {
  map.set(key, [...(map.get(key) ?? []), rule]);
}
