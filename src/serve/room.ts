/** How much the server takes on at a time: by what this machine gives it, or as it was told. */
import { Admission } from "../api/admission.ts";
import { capacity } from "../launch/capacity.ts";
import { descriptors, supplies } from "../launch/supplies.ts";

/** However much room there is: each running task also costs the event loop. */
export const MOST_TASKS = 1024;
/** Connections of one endpoint, and the part of all descriptors that those of all endpoints may have. */
const MOST_CONNECTIONS = 512;
const CONNECTION_SHARE = 0.2;

export interface Room {
  readonly admission: Admission;
  /** Of each endpoint. */
  readonly connections: number;
  /** For the start banner. */
  readonly words: string;
}

/** @param concurrency tasks at a time, where the user has said it */
export function roomFor(concurrency: number | undefined, endpoints: number): Room {
  const { launches, scarcest } = capacity(supplies());
  const tasks = concurrency ?? Math.min(launches, MOST_TASKS);
  const fits = Math.floor((descriptors().total * CONNECTION_SHARE) / endpoints);
  const why =
    scarcest === undefined
      ? ""
      : `: room for ${launches} by its ${scarcest.name}, ${scarcest.limit}`;
  return {
    admission: new Admission({ tasks }),
    connections: Math.max(Math.min(fits, MOST_CONNECTIONS), 4),
    words: `at most ${tasks} tasks at a time${tasks === MOST_TASKS && concurrency === undefined ? "" : why}`,
  };
}
