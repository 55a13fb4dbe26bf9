/** What `spawnbox doctor` tells, for clients of a running server: found out when somebody asks, and kept for a while. */
import type { Feature } from "../doctor/feature.ts";

/** ms: it takes a moment of several processes, and changes with the kernel. */
const KEPT = 10 * 60_000;

let known: { readonly at: number; readonly text: Promise<string> } | undefined;

/** JSON: `{"features": [{"name", "ok", "found", "remedy"}]}`. What could not be found out is not kept. @param examine finds it out */
export function doctor(examine = examined): Promise<string> {
  const now = performance.now();
  if (known && now - known.at < KEPT) return known.text;
  const text = examine();
  known = { at: now, text };
  text.catch(() => (known = undefined));
  return text;
}

async function examined(): Promise<string> {
  const [{ cgroupFeature }, { hostFeatures }, { probeFeatures }, { thisMachine }] =
    await Promise.all([
      import("../doctor/cgroups.ts"),
      import("../doctor/host.ts"),
      import("../doctor/probes.ts"),
      import("../plan/machine.ts"),
    ]);
  const features: Feature[] = [
    ...hostFeatures(),
    cgroupFeature(),
    ...(await probeFeatures(thisMachine())),
  ];
  return JSON.stringify({ features }, null, 2);
}
