/** How much a sandbox leaves open: 0 for next to nothing, 10 for all that the server can reach. */
import { t } from "./text.ts";

export function Score({ score }: { score: number }) {
  const level = score < 2 ? "low" : score < 5 ? "middle" : "high";
  return (
    <span class={`chip score ${level}`} title={t("scoreHelp")}>
      {t("score", score.toFixed(1))}
    </span>
  );
}
