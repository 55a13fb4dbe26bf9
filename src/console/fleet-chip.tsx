/** Whether a board is there, in a word and a colour. */
import type { Board } from "./fleet-model.ts";
import { duration } from "./outcome.ts";
import { t } from "./text.ts";

/** ms without a sign of life, which boards give every 5 minutes: then it may have gone without anybody having said so. */
const SILENT = 11 * 60_000;

export function BoardChip({ board: { status, silent } }: { board: Board }) {
  if (status === "online" && silent > SILENT)
    return <span class="chip stopped">{t("fleetSilent", duration(silent))}</span>;
  if (status === "online") return <span class="chip good">{t("fleetOnline")}</span>;
  return <span class="chip">{t(status === "offline" ? "board_offline" : "fleetGone")}</span>;
}
