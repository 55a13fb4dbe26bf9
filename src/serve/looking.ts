/** What the command line of a server names besides its configs, looked at without making anything: for `check`. */
import type { AuditOptions } from "../audit/open.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { Fleeting } from "./fleet.ts";
import type { HistoryPlace } from "./keeping.ts";
import type { TlsPaths } from "./transport.ts";

export interface Named {
  readonly audit: AuditOptions | undefined;
  readonly history: HistoryPlace | undefined;
  readonly tls: TlsPaths | undefined;
  /** A fleet file; undefined: none is looked at. */
  readonly fleet?: string | undefined;
}

export interface Seen {
  /** For which the server would not start. */
  readonly problems: readonly Problem[];
  /** What it would tell, and go on. */
  readonly notices: readonly Problem[];
}

export async function lookAt({ audit, history, tls, fleet }: Named): Promise<Seen> {
  const problems: Problem[] = [];
  const notices: Problem[] = [];
  if (audit) {
    const { lookAtAudit } = await import("../audit/open.ts");
    try {
      lookAtAudit(audit);
    } catch (error) {
      problems.push({ file: "", path: "", message: messageOf(error) });
    }
  }
  if (history) {
    const { lookAtPlace } = await import("../history/place.ts");
    try {
      lookAtPlace(history.file, process.geteuid?.() ?? 0);
    } catch (error) {
      const message = `no history is kept: ${messageOf(error)}`;
      notices.push({ file: history.file, path: "", message });
    }
  }
  if (tls) {
    const { loadTls } = await import("./tls.ts");
    try {
      notices.push(...loadTls(tls).notices);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (fleet !== undefined) {
    try {
      await new Fleeting().read(fleet);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  return { problems, notices };
}

function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  throw error;
}
