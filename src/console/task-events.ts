/** What an event of a task is, for who shows it. */
import { inOneLine, isObject, type Json, numberOf, textOf } from "./json.ts";
import type { Line } from "./log-view.ts";
import { t } from "./text.ts";

/** Of data events: those of the encoders, and what plugins have besides. */
export function linesOf(data: Json): Line[] {
  const { type, pid, seq, ...fields } = data;
  const at = Date.now();
  if (type === "gone" || type === "overflow") {
    const events = numberOf(data["events"]) ?? 0;
    return [{ text: t(type === "gone" ? "gone" : "left", events), from: "note", at }];
  }
  if (type === "unsubscribed") return [{ text: t("unsubscribed"), from: "note", at }];
  if (type === "initial-event") return [];
  if (type === "final-event") {
    const { status, ...others } = fields;
    return textual(others, at);
  }
  return textual(fields, at);
}

/** `cr`: the line ended with a carriage return. */
const textual = ({ cr, ...fields }: Json, at: number): Line[] =>
  Object.entries(fields).flatMap(([name, value]) => {
    const over = cr === true;
    if (name === "stdout")
      return texts(value).map((text): Line => ({ text, from: "out", at, over }));
    if (name === "stderr")
      return texts(value).map((text): Line => ({ text, from: "err", at, over }));
    return [{ text: `${name}: ${inOneLine(value)}`, from: "note" as const, at }];
  });

function texts(value: unknown): string[] {
  if (Array.isArray(value)) {
    return value.every((one) => typeof one === "string")
      ? value.flatMap((one: string) => texts(one))
      : [inOneLine(value)];
  }
  const text = textOf(value);
  if (text === undefined) return [inOneLine(value)];
  return text.replace(/\n$/, "").split("\n");
}

/** The JSON value of an event, if it has one. */
export function valueOf(data: Json): Json | undefined {
  const { stdout } = data;
  return isObject(stdout) ? stdout : undefined;
}
