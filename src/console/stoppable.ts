/** A start whose end is waited for, and that can be stopped meanwhile: by what it is known is told before its reply. */
import { call, listen, type Reply } from "./connection.ts";
import { numberOf } from "./json.ts";

export interface Stoppable {
  readonly reply: Promise<Reply>;
  /** Also before it runs: then as soon as it does. */
  stop(): void;
}

export function startStoppable(method: string, sandbox: string, args: unknown): Stoppable {
  let pid: number | undefined;
  let isUnwanted = false;
  const end = (): void => void call(method, { action: "stop", args: { pid } });
  const forget = listen(method, (data) => {
    const isIt = data["type"] === "initial-event" && data["sandbox"] === sandbox;
    if (!isIt || pid !== undefined) return;
    pid = numberOf(data["pid"]);
    if (isUnwanted) end();
  });
  return {
    reply: call(method, { action: "start", args, wait: true }).finally(forget),
    stop() {
      isUnwanted = true;
      if (pid !== undefined) end();
    },
  };
}
