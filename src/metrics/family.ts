/**
 * Metrics as text, in both formats that scrapers read: OpenMetrics 1.0.0 and the older one of Prometheus, 0.0.4. They differ in the
 * name of a counter, in how numbers are written, and in the end.
 */

export type Labels = Readonly<Record<string, string>>;

/** Samples of one name. */
export interface Family {
  /** Without `_total`. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "info";
  /** That of the name. */
  readonly unit?: "seconds" | "bytes";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Labels;
  readonly value: number | Distribution;
}

/** How many values were at most so large. */
export interface Distribution {
  readonly bounds: readonly number[];
  /** Of each bound those that are not below another, and at the end what is beyond all. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export const FORMATS = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
} as const;
export type Format = keyof typeof FORMATS;

export function textOf(families: readonly Family[], format: Format): string {
  const lines = families.flatMap((family) => linesOf(family, format));
  if (format === "openmetrics") lines.push("# EOF");
  return `${lines.join("\n")}\n`;
}

function linesOf({ name, type, unit, help, samples }: Family, format: Format): string[] {
  const open = format === "openmetrics";
  const suffix = { counter: "_total", info: "_info", gauge: "", histogram: "" }[type];
  const called = open ? name : name + suffix;
  const kind = !open && type === "info" ? "gauge" : type;
  return [
    `# TYPE ${called} ${kind}`,
    ...(open && unit ? [`# UNIT ${called} ${unit}`] : []),
    `# HELP ${called} ${open ? escaped(help) : escaped(help).replaceAll('\\"', '"')}`,
    ...samples.flatMap(({ labels = {}, value }) =>
      typeof value === "number"
        ? [`${name}${suffix}${labelled(labels)} ${written(value)}`]
        : distributed(name, labels, value),
    ),
  ];
}

function distributed(
  name: string,
  labels: Labels,
  { bounds, counts, sum }: Distribution,
): string[] {
  let count = 0;
  const buckets = counts.map((one, i) => {
    count += one;
    const bound = bounds[i];
    const le = bound === undefined ? "+Inf" : Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
    return `${name}_bucket${labelled({ ...labels, le })} ${count}`;
  });
  const all = labelled(labels);
  return [...buckets, `${name}_count${all} ${count}`, `${name}_sum${all} ${written(sum)}`];
}

function labelled(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length > 0 ? `{${pairs.join(",")}}` : "";
}

/** In both formats; control characters else are not forbidden there, and no reader minds them less than we do. */
const escaped = (text: string): string =>
  text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));

/** As JavaScript does, but for what is beyond all numbers. */
const written = (value: number): string =>
  String(value).replace("Infinity", "Inf").replace(/^I/, "+I");

/** Which a request wants: the older one, unless it says that it rather has the other. */
export function formatFor(accept: string | undefined): Format {
  const weight = (type: RegExp, known: string): number => {
    const weights = (accept ?? "").split(",").flatMap((part) => {
      const [name = "", ...parameters] = part.split(";").map((one) => one.trim().toLowerCase());
      if (!type.test(name)) return [];
      const version = parameters.find((one) => one.startsWith("version="));
      if (version !== undefined && version.replaceAll('"', "") !== `version=${known}`) return [];
      const q = parameters.find((one) => one.startsWith("q="));
      const number = q === undefined ? 1 : Number(q.slice(2));
      return [number <= 1 ? number : 0];
    });
    // Less than none is none.
    return Math.max(0, ...weights);
  };
  const open = weight(/^application\/openmetrics-text$/, "1.0.0");
  return open > 0 && open >= weight(/^text\/(?:plain|\*)$/, "0.0.4") ? "openmetrics" : "prometheus";
}
