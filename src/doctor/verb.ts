/** `monitor/doctor`: what `spawnbox doctor` tells of this kernel and user, for callers who may; found out when it is asked for. */
import type { Verb } from "../api/verb.ts";
import { AfbError } from "../errors.ts";
import { isNothing } from "../object.ts";
import type { Feature } from "./feature.ts";

/** It starts tiny sandboxes, and tells what could be done with this machine. */
export const DOCTOR_PRIVILEGE = "urn:spawnbox:doctor";

export function doctorVerb(): Verb {
  let looking: Promise<readonly Feature[]> | undefined;
  return {
    name: "doctor",
    isLong: true,
    privileges: [DOCTOR_PRIVILEGE],
    async call({ args }) {
      if (!isNothing(args)) throw new AfbError("invalid-request", "doctor takes no arguments");
      // Once for all who ask meanwhile.
      looking ??= look().finally(() => (looking = undefined));
      return { features: await looking };
    },
    describe: () => ({ info: "what this kernel and user can do, by trying", parameters: [] }),
  };
}

async function look(): Promise<Feature[]> {
  const { features } = await import("./features.ts");
  return await features();
}
