/** What it takes to use a fleet by a server that is an operator of it. Nobody has it but by an access file. */

/** To see which boards there are, and what they can do. */
export const LOOK_PRIVILEGE = "urn:spawnbox:fleet";
/** To call them, with all that is granted to the operator there. */
export const CALL_PRIVILEGE = "urn:spawnbox:fleet:call";
