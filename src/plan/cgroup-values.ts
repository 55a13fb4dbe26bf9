/** The values of `cgroups` in a config → as the kernel reads them. Each throws with what was expected. */

const quoted = JSON.stringify;

/** Bytes as a decimal number, or `max`. The kernel rounds down to pages. */
export function size(text: string, least: bigint): string {
  const value = text.trim().toLowerCase();
  if (value === "max") return value;
  const match = /^(\d+)([kmgt]?)b?$/.exec(value);
  const shift = { "": 0n, k: 10n, m: 20n, g: 30n, t: 40n }[match?.[2] ?? ""];
  if (!match || shift === undefined)
    throw new Error(`${quoted(text)} is not a size: bytes, such as 512K, 64M or 1G, or max`);
  const bytes = BigInt(match[1] ?? "") << shift;
  // Up to 2^63, PAGE_COUNTER_MAX in bytes; beyond, the kernel would silently take it for max.
  if (bytes < least || bytes >= 1n << 63n)
    throw new Error(`${quoted(text)} is out of range: from ${least} byte(s) to 8 EiB, or max`);
  return `${bytes}`;
}

/** A whole number from `least` to `most`. */
export function whole(text: string, least: number, most: number): string {
  const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new Error(`${quoted(text)} is not a whole number from ${least} to ${most}`);
  return `${value}`;
}

/** max_bw_runtime_us of the kernel's scheduler. */
const MOST_QUOTA = 2 ** 44 - 1;

/** `QUOTA [PERIOD]` in µs; the kernel takes periods from 1 ms to 1 s and no quota below 1 ms. */
export function cpuMax(text: string): string {
  const [quota = "", period, ...rest] = text.trim().split(/\s+/);
  if (rest.length > 0)
    throw new Error(
      `${quoted(text)}: expected a quota in µs or max, and optionally a period in µs`,
    );
  const parts = [quota === "max" ? quota : whole(quota, 1_000, MOST_QUOTA)];
  if (period !== undefined) parts.push(whole(period, 1_000, 1_000_000));
  return parts.join(" ");
}

const IO_KEYS = ["rbps", "wbps", "riops", "wiops"];
/** The kernel's dev_t has 12 and 20 bits; of more it takes the lower ones, which name another device. */
const DEVICE = /^(\d{1,9}):(\d{1,9})$/;
const MOST_MAJOR = 2 ** 12 - 1;
const MOST_MINOR = 2 ** 20 - 1;
/** Beyond 32 bits the kernel would cut to its `max`. */
const MOST_OPERATIONS = 2n ** 32n - 2n;

/** One line of io.max. `devices` are those named before: a second line would silently replace the first. */
export function ioLine(text: string, devices: Set<string>): string {
  const [name = "", ...pairs] = text.trim().split(/\s+/);
  const form = `expected MAJOR:MINOR and then ${IO_KEYS.join("=, ")}=, such as "8:0 rbps=1M wiops=max"`;
  const [, major, minor] = DEVICE.exec(name) ?? [];
  if (pairs.length === 0 || major === undefined || minor === undefined)
    throw new Error(`${quoted(text)}: ${form}`);
  if (Number(major) > MOST_MAJOR || Number(minor) > MOST_MINOR)
    throw new Error(`${name} is no device: MAJOR is at most ${MOST_MAJOR}, MINOR ${MOST_MINOR}`);
  // As the kernel reads it, so that 8:0 and 08:0 are one.
  const device = `${Number(major)}:${Number(minor)}`;
  if (devices.has(device))
    throw new Error(`${device} has a line already: put all its limits there`);
  devices.add(device);
  const limits = pairs.map((pair) => {
    const [key = "", value, ...rest] = pair.split("=");
    if (!IO_KEYS.includes(key) || value === undefined || rest.length > 0)
      throw new Error(`${quoted(pair)}: ${form}`);
    const limit = size(value, 1n);
    if (key.endsWith("iops") && limit !== "max" && BigInt(limit) > MOST_OPERATIONS)
      throw new Error(`${quoted(pair)} is out of range: from 1 to ${MOST_OPERATIONS}, or max`);
    return `${key}=${limit}`;
  });
  return [device, ...limits].join(" ");
}

/** The numbers of a list such as `0-3,6`, as cpuset(7) writes them. Throws when it is not one. */
export function cpuList(text: string): Set<number> {
  const numbers = new Set<number>();
  for (const part of text.trim().split(",")) {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim()) ?? [];
    if (first === undefined || Number(last) < Number(first))
      throw new Error(`${quoted(text)} is not a list of CPUs such as 0-3,6`);
    for (let cpu = Number(first); cpu <= Number(last); cpu++) numbers.add(cpu);
  }
  return numbers;
}

/**
 * A list of CPUs that exist. The kernel accepts others and then runs the tasks on all the CPUs of the parent when none is left,
 * so they are refused here.
 */
export function cpus(text: string, online: ReadonlySet<number> | undefined): string {
  const missing = online === undefined ? [] : [...cpuList(text)].filter((cpu) => !online.has(cpu));
  if (missing.length > 0)
    throw new Error(
      `${quoted(text)}: no CPU ${missing.join(", ")} here; there are ${[...(online ?? [])].join(", ")}`,
    );
  cpuList(text);
  return text.replaceAll(/\s/g, "");
}
