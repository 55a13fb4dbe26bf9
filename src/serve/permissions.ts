/** The permission service that is asked, as the command line says: the early server may be told another one. */
import { type ServiceAddress, written } from "../access/cynagora/address.ts";
import { Cynagora } from "../access/cynagora/client.ts";
import type { PermissionService } from "../api/permissions.ts";

export class Permissions {
  #service: Cynagora | undefined;
  #address: ServiceAddress | undefined;

  /** @param changed what callers may do has changed, or may have */
  constructor(readonly changed: () => void) {}

  readonly service = (): PermissionService | undefined => this.#service;

  get asks(): boolean {
    return this.#service !== undefined;
  }

  get address(): ServiceAddress | undefined {
    return this.#address;
  }

  /** From now on that one is asked, or none. */
  use(address: ServiceAddress | undefined): void {
    if (address && this.#address && written(address) === written(this.#address)) return;
    this.#service?.close();
    this.#address = address;
    this.#service =
      address &&
      new Cynagora({
        address,
        changed: this.changed,
        tell: (text) => console.error(`spawnbox serve: ${text}`),
      });
  }

  /** What is worth knowing at the start: undefined where it can be reached. */
  async notice(): Promise<string | undefined> {
    const address = this.#address;
    const why = await this.#service?.probe();
    if (!address || why === undefined) return undefined;
    return `notice: --cynagora ${written(address)}: the permission service cannot be reached now: ${why}; until it can, what needs it is refused`;
  }

  close(): void {
    this.#service?.close();
  }
}
