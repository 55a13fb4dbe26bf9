/** One argument of a verb, in the control that fits it. */
import type { Param } from "./model.ts";
import { kindOf } from "./arguments.ts";
import { inOneLine, listOf, numberOf, textOf } from "./json.ts";
import { t } from "./text.ts";

interface FieldProps {
  readonly param: Param;
  readonly value: string;
  /** What the server says of it. */
  readonly fault: string | undefined;
  readonly onChange: (value: string) => void;
}

export function Field({ param, value, fault, onChange }: FieldProps) {
  const { name, required, help } = param;
  const id = `field-${name}`;
  const hints = [help, rangeOf(param)].filter((one) => one !== undefined);
  const described = [
    hints.length > 0 ? `${id}-hint` : undefined,
    fault !== undefined ? `${id}-fault` : undefined,
  ].filter((one) => one !== undefined);
  const common = {
    id,
    "aria-describedby": described.join(" ") || undefined,
    "aria-invalid": fault !== undefined,
    "aria-required": required,
  };
  return (
    <div class={fault === undefined ? "field" : "field wrong"}>
      <label for={id}>
        {name}
        {!required && <span class="optional">{t("optional")}</span>}
      </label>
      <Control {...{ param, value, onChange, common }} />
      {hints.length > 0 && (
        <p class="hint" id={`${id}-hint`}>
          {hints.join(" · ")}
        </p>
      )}
      {fault !== undefined && (
        <p class="fault" id={`${id}-fault`}>
          {fault}
        </p>
      )}
    </div>
  );
}

type Common = Readonly<Record<string, string | boolean | undefined>>;

function Control({
  param,
  value,
  onChange,
  common,
}: Pick<FieldProps, "param" | "value" | "onChange"> & { common: Common }) {
  const { schema, required } = param;
  const kind = kindOf(param);
  const placeholder = schema["default"] === undefined ? undefined : inOneLine(schema["default"]);
  const onInput = (event: { currentTarget: { value: string } }): void =>
    onChange(event.currentTarget.value);
  switch (kind) {
    case "choice":
      return (
        <Select
          {...{ value, onChange, common, required }}
          words={listOf(schema["enum"]).map(inOneLine)}
        />
      );
    case "switch":
      return <Select {...{ value, onChange, common, required }} words={["true", "false"]} />;
    case "number": {
      const [min, max] = [numberOf(schema["minimum"]), numberOf(schema["maximum"])];
      const step = schema["type"] === "integer" ? 1 : "any";
      return (
        <input
          type="number"
          inputMode="decimal"
          {...{ ...common, value, onInput, min, max, step, placeholder }}
          // Who scrolls on would change a number that is looked at, without seeing it.
          onWheel={({ currentTarget }) => currentTarget.blur()}
        />
      );
    }
    case "secret":
      return <input type="password" autocomplete="off" {...{ ...common, value, onInput }} />;
    case "text":
      return (
        <input
          type="text"
          autocapitalize="off"
          spellcheck={false}
          {...{ ...common, value, onInput, placeholder }}
        />
      );
    default:
      return (
        <textarea
          rows={1}
          autocapitalize="off"
          spellcheck={false}
          {...{
            ...common,
            value,
            onInput,
            placeholder: kind === "json" ? (placeholder ?? "JSON") : placeholder,
          }}
          onKeyDown={(event) => {
            // Another line with Shift, as in chats; a form is sent with Enter.
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
      );
  }
}

function Select({
  value,
  words,
  required,
  onChange,
  common,
}: Pick<FieldProps, "value" | "onChange"> & {
  words: string[];
  required: boolean;
  common: Common;
}) {
  return (
    <select
      {...common}
      value={value}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
    >
      {(!required || value === "") && <option value="">–</option>}
      {words.map((word) => (
        <option key={word} value={word}>
          {word}
        </option>
      ))}
    </select>
  );
}

/** What fits, in a few words. */
function rangeOf({ schema }: Param): string | undefined {
  const [min, max] = [numberOf(schema["minimum"]), numberOf(schema["maximum"])];
  if (min !== undefined && max !== undefined) return `${min} – ${max}`;
  if (min !== undefined) return `≥ ${min}`;
  if (max !== undefined) return `≤ ${max}`;
  return textOf(schema["pattern"]);
}
