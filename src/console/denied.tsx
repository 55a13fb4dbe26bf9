/** The system calls that the filter of a sandbox has denied, by name, and what each is for. */
import type { Json } from "./json.ts";
import { deniedOf, meaningOf } from "./denied-calls.ts";
import { t } from "./text.ts";

export function Denied({ status }: { status: Json }) {
  const denied = deniedOf(status);
  if (denied.length === 0) return null;
  return (
    <ul class="denied">
      {denied.map(([name, count]) => (
        <li key={name}>
          {t("denied")} <code>{name}</code>
          {count > 1 && ` × ${count}`}
          {meaningOf(name) !== undefined && `: ${meaningOf(name)}`}
        </li>
      ))}
    </ul>
  );
}
