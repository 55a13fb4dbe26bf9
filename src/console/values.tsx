/** JSON values that a task prints, as a table; what is progress as a bar; what is a number as a small curve. */
import { plainOf } from "./ansi.ts";
import { inOneLine, isObject, type Json, numberOf } from "./json.ts";
import { t } from "./text.ts";

const MOST_COLUMNS = 12;

export function Values({ values }: { values: readonly unknown[] }) {
  const objects = values.filter(isObject);
  if (objects.length === 0) return null;
  const progress = objects
    .map((one) => numberOf(one["progress"]))
    .findLast((one) => one !== undefined);
  const columns = [...new Set(objects.flatMap((one) => Object.keys(one)))].slice(0, MOST_COLUMNS);
  const curves = columns.flatMap((name) => {
    const points = objects.map((one) => numberOf(one[name])).filter((one) => one !== undefined);
    return name !== "progress" && points.length > 2 ? [{ name, points }] : [];
  });
  return (
    <>
      {progress !== undefined && <Progress value={progress} />}
      {curves.length > 0 && (
        <div class="curves">
          {curves.map(({ name, points }) => (
            <figure key={name}>
              <figcaption>
                {name} <strong>{points.at(-1)}</strong>
              </figcaption>
              <Curve points={points} />
            </figure>
          ))}
        </div>
      )}
      {columns.some((name) => name !== "progress") && (
        <details open={objects.length <= 20}>
          <summary>{t("table", objects.length)}</summary>
          <Table columns={columns} rows={objects} />
        </details>
      )}
    </>
  );
}

function Progress({ value }: { value: number }) {
  const shown = Math.max(0, Math.min(100, value));
  return (
    <p class="progress">
      <progress max={100} value={shown} aria-label={t("progress")} />
      <span>{Math.round(shown)} %</span>
    </p>
  );
}

function Table({ columns, rows }: { columns: readonly string[]; rows: readonly Json[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("values")}>
      <table>
        <thead>
          <tr>
            {columns.map((name) => (
              <th
                key={name}
                scope="col"
                class={numberOf(rows[0]?.[name]) === undefined ? undefined : "number"}
              >
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {columns.map((name) => (
                <td key={name} class={numberOf(row[name]) === undefined ? undefined : "number"}>
                  {row[name] === undefined ? "" : plainOf(inOneLine(row[name]))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Curve({ points }: { points: readonly number[] }) {
  const [width, height] = [160, 36];
  const [least, most] = [Math.min(...points), Math.max(...points)];
  const y = (value: number): number =>
    most === least ? height / 2 : height - 2 - ((value - least) / (most - least)) * (height - 4);
  const x = (i: number): number => (points.length < 2 ? 0 : (i / (points.length - 1)) * width);
  const path = points.map(
    (value, i) => `${i === 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`,
  );
  return (
    <svg
      class="curve"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${least} – ${most}`}
    >
      <path d={path.join("")} />
    </svg>
  );
}
