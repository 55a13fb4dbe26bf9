/**
 * Metrics as a strict reader takes them: OpenMetrics 1.0.0, or the older text of Prometheus. Anything that a scraper would refuse, or
 * only bear with, is an error.
 */

export interface Family {
  readonly type: string;
  readonly unit: string | undefined;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const TYPES = ["counter", "gauge", "histogram", "info"];
/** What a sample may be called, by the type of its family. */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total"],
  gauge: [""],
  info: ["_info"],
  histogram: ["_bucket", "_count", "_sum"],
};

export function parse(text: string, format: "openmetrics" | "prometheus"): Map<string, Family> {
  const open = format === "openmetrics";
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const lines = text.slice(0, -1).split("\n");
  if (open && lines.pop() !== "# EOF") throw new Error("no # EOF");
  const families = new Map<string, Family & { samples: Sample[] }>();
  let current: { name: string; family: Family & { samples: Sample[] } } | undefined;
  let unit: string | undefined;
  let type: { name: string; type: string } | undefined;
  for (const line of lines) {
    const [, kind, name = "", rest = ""] = /^# (TYPE|UNIT|HELP) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === "TYPE") {
      if (!NAME.test(name) || families.has(name)) throw new Error(`its name: ${line}`);
      if (!TYPES.includes(rest) || (!open && rest === "info")) throw new Error(`no type: ${line}`);
      if (open && /_(total|info|bucket|count|sum)$/.test(name)) throw new Error(`suffix: ${line}`);
      type = { name, type: rest };
      unit = undefined;
    } else if (kind === "UNIT") {
      if (!open || type?.name !== name || !name.endsWith(`_${rest}`)) throw new Error(line);
      unit = rest;
    } else if (kind === "HELP") {
      if (type?.name !== name || !/\S/.test(rest)) throw new Error(line);
      const escapes = open ? /^(?:[^\\"]|\\[\\n"])*$/ : /^(?:[^\\]|\\[\\n])*$/;
      if (!escapes.test(rest)) throw new Error(`escape: ${line}`);
      const family = { type: type.type, unit, help: rest, samples: [] };
      families.set(name, family);
      current = { name, family };
      type = undefined;
    } else {
      if (!current || type) throw new Error(`out of place: ${line}`);
      current.family.samples.push(sample(line, current.name, current.family.type, open));
    }
  }
  for (const [name, family] of families) check(name, family, open);
  return families;
}

function sample(line: string, family: string, type: string, open: boolean): Sample {
  const [, name = "", , body = "", value = ""] = /^([^\s{]+)(\{(.*)\})? (\S+)$/s.exec(line) ?? [];
  const suffixes = open
    ? (SUFFIXES[type] ?? [])
    : type === "histogram"
      ? (SUFFIXES["histogram"] ?? [])
      : [""];
  if (!suffixes.some((suffix) => name === family + suffix)) throw new Error(`name: ${line}`);
  if (!/^(\+Inf|-Inf|NaN|-?\d+(\.\d+)?(e[+-]?\d+)?)$/.test(value))
    throw new Error(`value: ${line}`);
  const labels: Record<string, string> = {};
  let rest = body;
  while (rest !== "") {
    const found = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(,(?!$)|$)/.exec(rest);
    if (!found || !LABEL.test(found[1] ?? "")) throw new Error(`labels: ${line}`);
    const [whole, key = "", text = ""] = found;
    if (key in labels) throw new Error(`twice: ${line}`);
    labels[key] = text.replace(/\\(.)/g, (_, one: string) => (one === "n" ? "\n" : one));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function check(name: string, { type, samples }: Family, open: boolean): void {
  const seen = new Set<string>();
  for (const { name, labels, value } of samples) {
    const key = `${name} ${JSON.stringify(Object.entries(labels).toSorted())}`;
    if (seen.has(key)) throw new Error(`twice: ${key}`);
    seen.add(key);
    if (type === "counter" && !(value >= 0 && Number.isFinite(value))) throw new Error(key);
  }
  if (!open && type === "counter" && !name.endsWith("_total")) throw new Error(name);
  if (type === "histogram") buckets(name, samples);
}

/** They rise, up to +Inf, which is the count; each with a sum. */
function buckets(name: string, samples: readonly Sample[]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest));
  for (const [key, group] of groups) {
    const all = group.filter((one) => one.name === `${name}_bucket`);
    const bounds = all.map(({ labels }) => {
      const { le = "" } = labels;
      if (!/^(\+Inf|\d+\.\d+)$/.test(le)) throw new Error(`le="${le}"`);
      return le === "+Inf" ? Infinity : Number(le);
    });
    const rises = (list: readonly number[], strictly: boolean) =>
      list.every(
        (one, i) => i === 0 || one > (list[i - 1] ?? 0) || (!strictly && one === list[i - 1]),
      );
    if (!rises(bounds, true) || bounds.at(-1) !== Infinity)
      throw new Error(`${name} ${key}: bounds`);
    if (
      !rises(
        all.map(({ value }) => value),
        false,
      )
    )
      throw new Error(`${name} ${key}: counts`);
    const count = group.find((one) => one.name === `${name}_count`)?.value;
    if (count !== all.at(-1)?.value) throw new Error(`${name} ${key}: count`);
    if (!group.some((one) => one.name === `${name}_sum`)) throw new Error(`${name} ${key}: sum`);
  }
}

/** The value of one sample. @throws where there is none */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  for (const { samples } of families.values())
    for (const one of samples)
      if (
        one.name === name &&
        Object.keys(one.labels).length === Object.keys(labels).length &&
        Object.entries(labels).every(([key, value]) => one.labels[key] === value)
      )
        return one.value;
  throw new Error(`no ${name} ${JSON.stringify(labels)}`);
}
