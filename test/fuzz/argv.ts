/** Argument templates: as many elements as the template has, each value byte for byte inside its own, or a refusal. */
import { AfbError } from "../../src/errors.ts";
import { fill, parseTemplate, TemplateError, type ArgvTemplate } from "../../src/plan/argv.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

interface Input {
  args: string[];
  given: Json;
  dash: string[];
}

const PIECES = [
  ...[
    "%a%",
    "?a?",
    "%b%",
    "?b?",
    "%%",
    "??",
    "%",
    "?",
    "$HOME",
    "$",
    "a",
    "-",
    "--x=",
    " ",
    "'",
    "\n",
    "é",
    "\u{1f600}",
  ],
  ...["%a.b-c%", "%1%", "%a", "?b", "\ud83d", "\0", "%__proto__%", "?constructor?"],
] as const;
const VALUES = [
  ...[
    "",
    "v",
    "-v",
    "--",
    "%a%",
    "?b?",
    "$HOME",
    "%%",
    "a b",
    "\0",
    "\ud800",
    "\u{1f600}",
    "\n",
    "x".repeat(131_072),
  ],
  ...[0, -1, 1e400, 1e21, 0.1, true, null, [], ["a"], { k: "v" }],
] as const;

function make(random: Random): Input {
  const names = ["a", "b", "a.b-c", "c", "__proto__", "constructor"];
  const value = (): Json => random.pick([VALUES[0], ...VALUES]);
  const given = Object.fromEntries(
    names.filter(() => random.once(2)).map((name) => [name, value()]),
  );
  return {
    args: random.list(4, () => random.list(5, () => random.pick([PIECES[0], ...PIECES])).join("")),
    given: random.once(10) ? value() : given,
    dash: names.filter(() => random.once(4)),
  };
}

/** One element, filled by the rule in config/guide/config.md, from the left: what the parsed pieces must add up to. */
function reference(arg: string, given: Readonly<Record<string, Json>>): string {
  let filled = "";
  for (let rest = arg; rest !== "";) {
    const double = rest.startsWith("%%") || rest.startsWith("??");
    const [mark = rest.charAt(0), mandatory, optional] =
      /^%([A-Za-z](?:[\w.-]*[A-Za-z\d])?)%|^\?([A-Za-z](?:[\w.-]*[A-Za-z\d])?)\?/.exec(rest) ?? [];
    const name = double ? undefined : (mandatory ?? optional);
    if (name === undefined) {
      filled += rest.charAt(0);
      rest = rest.slice(double ? 2 : 1);
      continue;
    }
    rest = rest.slice(mark.length);
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined || value === null) continue;
    filled += typeof value === "string" ? value : JSON.stringify(value);
  }
  return filled;
}

export const argv: Target = {
  name: "argv",
  make: (random) => ({ ...make(random) }),
  check(input: Json) {
    const { args = [], given = null, dash = [] } = input as Partial<Input>;
    let template: ArgvTemplate;
    try {
      template = parseTemplate("/bin/x", args, (text) => text);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      return demand(/[\0\p{Surrogate}]/u.test(args.join("\n")), "refused without a reason", error);
    }
    let filled: string[];
    try {
      filled = fill(template, given, new Set(dash));
    } catch (error) {
      if (!(error instanceof AfbError) || error.status !== "invalid-request") throw error;
      return;
    }
    const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
    const values = isObject ? (given as Record<string, Json>) : {};
    const expected = ["/bin/x", ...args.map((arg) => reference(arg, values))];
    demand(Bun.deepEquals(filled, expected), "filled otherwise", expected, filled);
    for (const [i, element] of filled.entries()) {
      demand(!element.includes("\0") && element.isWellFormed(), "cannot be passed", element);
      demand(Buffer.byteLength(element) < 131_072, "longer than the kernel takes");
      const [opens] = template.elements[i] ?? [];
      const free = opens?.kind === "value" && !dash.includes(opens.name);
      const text = free && isObject ? values[opens.name] : undefined;
      demand(!(String(text ?? "").startsWith("-") && free), "a value became an option", element);
    }
  },
};
