/** What is called from a shell like what is shown here, for who asks for it. */
import { loadViews, views } from "./later.ts";
import type { ShellLinesProps } from "./shell-lines.tsx";
import { t } from "./text.ts";

export function Shell(props: ShellLinesProps) {
  const { ShellLines } = views.value ?? {};
  return (
    <details onToggle={loadViews}>
      <summary>{t("fromShell")}</summary>
      {ShellLines && <ShellLines {...props} />}
    </details>
  );
}
