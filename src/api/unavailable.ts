/** The verb of a command that cannot be had here, and that its config lets be missing. */
import { AfbError } from "../errors.ts";
import type { UnavailableVerb } from "../plan/plan.ts";
import { attemptedQuery } from "./query.ts";
import type { Verb } from "./verb.ts";

export function unavailableVerb({ verb, info, privileges, reason }: UnavailableVerb): Verb {
  return {
    name: verb,
    privileges,
    call: () => {
      throw new AfbError("not-available", reason);
    },
    // Nobody knows any more what of its arguments is a secret.
    refused: ({ args }) => ({ action: attemptedQuery(args).action, hidden: true }),
    describe: () => ({ ...(info !== undefined && { info }), parameters: [], unavailable: true }),
  };
}
