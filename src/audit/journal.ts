/**
 * An audit in the journal of systemd, by its own protocol: the line as the message, and what it says as fields, so that
 * `journalctl SPAWNBOX_API=radio` finds it. See "Journal Native Protocol" of systemd.
 */
import { closeSync, writeSync } from "node:fs";
import { memfdCreate, sealMemfd } from "../../ffi/libc.ts";
import { type Entry, isNotable } from "./entry.ts";
import { DatagramSink } from "./datagram-sink.ts";
import type { Line } from "./sink.ts";

export const JOURNAL = "/run/systemd/journal/socket";
/** LOG_AUTHPRIV. */
export const FACILITY = 10;
/** LOG_NOTICE and LOG_INFO. */
export const priorityOf = (entry: Entry): number => (isNotable(entry) ? 5 : 6);

export class JournalSink extends DatagramSink {
  readonly name = "the journal";

  constructor(path = JOURNAL) {
    super(path);
  }

  protected encode(line: Line): Buffer {
    return encode(line);
  }

  /** A datagram has a bound that the socket sets; the journal reads files that are sealed. */
  protected sendLong(_line: Line, message: Buffer): void {
    const fd = memfdCreate("spawnbox-audit", false);
    try {
      for (let done = 0; done < message.length;) done += writeSync(fd, message, done);
      sealMemfd(fd);
      this.datagrams().sendDescriptor(fd);
    } finally {
      closeSync(fd);
    }
  }
}

/** As one message. */
export function encode({ entry, text }: Line): Buffer {
  const caller = Object.entries(entry.caller ?? {}).map(
    ([name, value]) => [`SPAWNBOX_CALLER_${name.toUpperCase()}`, value] as const,
  );
  const fields: Record<string, string | number | undefined> = {
    MESSAGE: text,
    PRIORITY: priorityOf(entry),
    SYSLOG_FACILITY: FACILITY,
    SYSLOG_IDENTIFIER: "spawnbox",
    SPAWNBOX_AUDIT: entry.event,
    SPAWNBOX_ID: entry.id,
    SPAWNBOX_API: entry.api,
    SPAWNBOX_VERB: entry.verb,
    SPAWNBOX_SANDBOX: entry.sandbox,
    SPAWNBOX_COMMAND: entry.command,
    SPAWNBOX_STATUS: entry.status,
    ...Object.fromEntries(caller),
    SPAWNBOX_PID: entry.pid,
    SPAWNBOX_DURATION_MS: entry.duration,
  };
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [field(name, String(value))],
    ),
  );
}

/** With its length, whatever is in it: else a line of a value would be a field of its own. */
function field(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.from(`${name}\n`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([head, length, bytes, Buffer.from("\n")]);
}
