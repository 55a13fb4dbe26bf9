/** How many launches can be there at once, by what they take and what there is: numbers in, numbers out. */

/** One thing that launches use up. */
export interface Supply {
  /** What it is, in the plural: `descriptors`. */
  readonly name: string;
  /** Where it is limited, for people who want more: `RLIMIT_NOFILE (LimitNOFILE of systemd)`. */
  readonly limit: string;
  readonly total: number;
  /** Of these, in use by now, by whomever. */
  readonly used: number;
  /** What one launch takes. */
  readonly each: number;
  /** The part of the total that launches may have, 0…1: the rest is for connections, and for who else lives there. */
  readonly share: number;
}

export interface Capacity {
  /** So many launches, those of now not counted; at least 1. */
  readonly launches: number;
  /** What there is least of. */
  readonly scarcest: Supply | undefined;
}

/** What one launch takes while it runs; see {@link supplies} for what of it is limited. */
export const LAUNCH = {
  /**
   * Of the server: three pipes, one more of a warm sandbox, which it reads too, and one more of stdin, all of them with both ends at
   * the start; a directory of a group and what it counts. Soon afterwards most of them are closed, and there is room for its client.
   */
  descriptors: 13,
  /** Supervisor, init of a pid namespace, command, and one that this starts. */
  processes: 4,
  /** Bytes: of the server and the kernel some 100 KiB, and a small program. */
  memory: 4 * 2 ** 20,
} as const;

/** Name of a supply; its numbers are bytes. */
export const MEMORY = "bytes of memory";

/** Without any supply nothing is limited: Infinity. */
export function capacity(supplies: readonly Supply[]): Capacity {
  let launches = Infinity;
  let scarcest: Supply | undefined;
  for (const supply of supplies) {
    const fit = room(supply);
    if (fit >= launches) continue;
    launches = fit;
    scarcest = supply;
  }
  return { launches: Math.max(launches, 1), scarcest };
}

/** So many launches fit into one supply. */
export function room({ total, used, each, share }: Supply): number {
  return Math.max(Math.floor(Math.min(total * share, total - used) / each), 0);
}

/** The part of a {@link capacity} that may be used in advance, by what waits in pools: what requests need comes first. */
export const POOL_SHARE = 0.5;

/** Who wants `wanted[i]` gets `shares(wanted, all)[i]`: one after the other gets one more, until each has its own or all is given. */
export function shares(wanted: readonly number[], all: number): number[] {
  const given = wanted.map(() => 0);
  for (let left = all, gives = true; gives;) {
    gives = false;
    for (const [i, most] of wanted.entries()) {
      const has = given[i] ?? 0;
      if (left < 1 || has >= most) continue;
      given[i] = has + 1;
      left--;
      gives = true;
    }
  }
  return given;
}
