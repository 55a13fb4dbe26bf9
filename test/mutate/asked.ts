/** Which suites are asked about a mistake, and in which order: those that can notice it, the quick ones first. */
import { basename } from "node:path";
import { runs } from "./known.ts";
import type { Suite } from "./lines.ts";
import type { Mistake } from "./mistake.ts";
import type { Room } from "./rooms.ts";

export interface Asked {
  /** In whose processes the mistake is made. */
  readonly inside: readonly Suite[];
  /** That run an executable with the mistake in it. */
  readonly outside: readonly Suite[];
}

export function asked(
  suites: readonly Suite[],
  { best, isElsewhere }: Room,
  mistake: Mistake,
): Asked {
  const name = basename(mistake.file);
  const named = `/${name.replace(/\.\w+$/, "")}.test.ts`;
  const knowsBest = ({ file }: Suite) =>
    file.endsWith(named) || (best?.[name]?.includes(file) ?? false);
  const sorted = suites.toSorted(
    (a, b) => Number(knowsBest(b)) - Number(knowsBest(a)) || a.seconds - b.seconds,
  );
  // Of C, and of what runs in threads and processes of its own, there are no counts.
  const isCounted = !isElsewhere && mistake.file.endsWith(".ts");
  const mayNotice = (suite: Suite) => !isCounted || suite.isElsewhere || runs(suite, mistake);
  return {
    inside: sorted.filter((suite) => !suite.isOutside && mayNotice(suite)),
    outside: sorted.filter((suite) => suite.isOutside),
  };
}
