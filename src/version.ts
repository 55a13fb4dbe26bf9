/** The version of the package, fixed in the executable at build time. */
import { version as packageVersion } from "../package.json";

export const version: string = packageVersion;
