/** `monitor/metrics`: what `GET /metrics` answers, for whoever may. */
import type { Verb } from "../api/verb.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import type { Sources } from "./families.ts";
import { type Format, FORMATS } from "./family.ts";

export const METRICS_PRIVILEGE = "urn:spawnbox:metrics";

const NAMES = Object.keys(FORMATS) as Format[];

/** @param privileges asked at each call: they change with the access */
export function metricsVerb(privileges: () => readonly string[], sources: Sources): Verb {
  return {
    name: "metrics",
    isLong: true,
    isUntried: true,
    get privileges() {
      return privileges();
    },
    async call({ args }) {
      const format = formatOf(args);
      const { familiesOf } = await import("./families.ts");
      const { textOf } = await import("./family.ts");
      return textOf(familiesOf(sources), format);
    },
    describe: () => ({
      info: "counts of launches, tasks and clients, as the text of GET /metrics",
      parameters: [{ name: "format", required: false, schema: { type: "string", enum: NAMES } }],
    }),
  };
}

function formatOf(args: unknown): Format {
  if (args === undefined || args === null) return "prometheus";
  const { format = "prometheus", ...others } = isObject(args) ? args : { args };
  const found = NAMES.find((name) => name === format);
  if (found && Object.keys(others).length === 0) return found;
  throw new AfbError(
    "invalid-request",
    `expects {"format": "${NAMES.join('" or "')}"}, or nothing`,
  );
}
