/** The profiles, in the order of what they take from a command. */
export const PROFILES = ["minimal", "network", "device", "admin"] as const;
export type Profile = (typeof PROFILES)[number];
