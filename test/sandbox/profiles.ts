/** The profiles, as the schema has them. */
import { Sandbox } from "../../src/config/schema.ts";

const { enum: names } = Sandbox.properties.profile as unknown as { enum: readonly string[] };
export const profiles = names;
