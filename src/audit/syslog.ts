/** An audit in the system's log, as syslog(3) of the C library sends it: `<PRIORITY>MONTH DAY TIME spawnbox[PID]: LINE`. */
import { DatagramSink } from "./datagram-sink.ts";
import { FACILITY, priorityOf } from "./journal.ts";
import { lineOf } from "./entry.ts";
import type { Line } from "./sink.ts";

export const SYSLOG = "/dev/log";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export class SyslogSink extends DatagramSink {
  readonly name = "syslog";

  constructor(path = SYSLOG) {
    super(path);
  }

  protected encode(line: Line): Buffer {
    return encode(line);
  }

  /** Without what makes it long: nothing else can be so. */
  protected sendLong({ entry: { argv = [], args, info: _, ...entry } }: Line): void {
    const cut = entry.cut ?? argv.join(" ").length + (JSON.stringify(args)?.length ?? 0);
    const short = { ...entry, cut };
    this.datagrams().send(encode({ entry: short, text: lineOf(short) }));
  }
}

export function encode({ entry, text }: Line): Buffer {
  const at = new Date(entry.time);
  const two = (number: number): string => String(number).padStart(2, "0");
  // Local time, as all programs of the system have it.
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  const date = `${MONTHS[at.getMonth()]} ${String(at.getDate()).padStart(2)} ${time}`;
  return Buffer.from(
    `<${FACILITY * 8 + priorityOf(entry)}>${date} spawnbox[${process.pid}]: ${text}`,
  );
}
