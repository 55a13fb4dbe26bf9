/** Everything that is looked at. */
import { thisMachine } from "../plan/machine.ts";
import { cgroupFeature } from "./cgroups.ts";
import type { Feature } from "./feature.ts";
import { hostFeatures } from "./host.ts";
import { probeFeatures } from "./probes.ts";

export const features = async (): Promise<Feature[]> => [
  ...hostFeatures(),
  cgroupFeature(),
  ...(await probeFeatures(thisMachine())),
];
