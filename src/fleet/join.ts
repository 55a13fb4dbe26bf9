/** What a server needs to be a board of a fleet: all that is loaded for it, at once. */
export { Board } from "./board.ts";
export { loadFleet } from "./load.ts";
