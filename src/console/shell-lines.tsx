/** The same call from a shell, to copy. */
import { commandLines } from "./command-lines.ts";
import { Copy } from "./copy.tsx";
import type { Json } from "./json.ts";

export interface ShellLinesProps {
  readonly api: string;
  readonly verb: string;
  /** undefined where they are not all told. */
  readonly args: Json | undefined;
  /** Of a task. */
  readonly id?: string;
}

export function ShellLines({ api, verb, args, id }: ShellLinesProps) {
  const lines = args ? commandLines(api, verb, args).map(({ text }) => text) : [];
  return (
    <>
      {[...(id === undefined ? [] : [`spawnbox watch ${id}`]), ...lines].map((line) => (
        <div key={line} class="line">
          <code>{line}</code>
          <Copy text={() => line} />
        </div>
      ))}
    </>
  );
}
