/** The launcher as an asset of the executable; in a checkout, what build.ts made. */
import path from "./bin/launcher" with { type: "file" };

export const launcherAsset: string = path;
