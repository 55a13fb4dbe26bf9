/** One board of a fleet, or a group: what to call there, and what has become of the last call. */
import { useEffect, useState } from "preact/hooks";
import { argumentsOf } from "./arguments.ts";
import { Confirm } from "./confirm.tsx";
import { call, generation, type Reply, succeeded } from "./connection.ts";
import { Field } from "./field.tsx";
import {
  type Board,
  type Boards,
  type BoardVerb,
  readBoard,
  readBoards,
  readVerbs,
} from "./fleet-model.ts";
import { BoardChip } from "./fleet-chip.tsx";
import { FleetResults } from "./fleet-results.tsx";
import { type FleetRun, lastRun, startRun } from "./fleet-run.ts";
import { isObject, type Json, objectOf, parseJson } from "./json.ts";
import type { Values } from "./model.ts";
import { hideSecrets } from "./secrets.ts";
import { t } from "./text.ts";

export function FleetTarget({ to }: { to: string }) {
  const isGroup = to.startsWith("@");
  const [group, setGroup] = useState<Boards>();
  const [board, setBoard] = useState<Board>();
  const [verbs, setVerbs] = useState<readonly BoardVerb[]>([]);
  const [fault, setFault] = useState("");
  const [run, setRun] = useState<FleetRun | undefined>(() => {
    const last = lastRun();
    return last?.to === to ? last : undefined;
  });
  useEffect(() => {
    if (generation.value === 0) return;
    const ask = async (verb: string, args: Json): Promise<Reply> => {
      const reply = await call(`monitor/fleet/${verb}`, args);
      setFault(succeeded(reply) ? "" : reply.info || reply.status);
      return reply;
    };
    const describe = async (name: string): Promise<void> => {
      const { response } = await ask("board", { board: name });
      setBoard(readBoard(objectOf(response)));
      setVerbs(readVerbs(response));
    };
    const look = async (): Promise<void> => {
      if (!isGroup) return describe(to);
      const found = readBoards((await ask("boards", { group: to.slice(1), limit: 1000 })).response);
      setGroup(found);
      // Those of a group are much alike.
      const one = found.boards.find(({ status }) => status === "online");
      if (one) await describe(one.name);
    };
    void look();
  }, [to, generation.value]);
  const online = group?.foundOnline ?? 0;
  return (
    <>
      <p class="crumbs">
        <a href="#/f">{t("fleet")}</a>
      </p>
      <h1>
        <code>{to}</code>
      </h1>
      {board && !isGroup && (
        <p class="lead">
          <BoardChip board={board} />{" "}
          <bdi>
            {[board.version, board.groups.join(", ")].filter((one) => one !== "").join(" · ")}
          </bdi>
        </p>
      )}
      {group && <p class="lead">{t("fleetGroup", online, group.found)}</p>}
      {fault !== "" && <p class="fault">{fault}</p>}
      <CallForm
        key={to}
        {...{ to, verbs, count: isGroup ? online : 1 }}
        onRun={(method, args) => setRun(startRun(to, method, args))}
      />
      {run && <FleetResults key={run.method} run={run} />}
    </>
  );
}

/** Of the call, besides target, verb and arguments. */
const OPTIONS = {
  board: ["timeout", "queue"],
  group: ["timeout", "stages", "max-failed"],
} as const;
const HINTS = {
  timeout: ["fleetTimeout", "30s"],
  queue: ["fleetQueue", "1h"],
  stages: ["fleetStages", "1,10%,100%"],
  "max-failed": ["fleetFailed", "2%"],
} as const;

function CallForm({
  to,
  verbs,
  count,
  onRun,
}: {
  to: string;
  verbs: readonly BoardVerb[];
  /** Boards that are there. */
  count: number;
  onRun: (method: string, args: Json) => void;
}) {
  const [method, setMethod] = useState("");
  const [values, setValues] = useState<Values>({});
  const [raw, setRaw] = useState("");
  const [more, setMore] = useState<Values>({});
  const [asks, setAsks] = useState(false);
  const verb = verbs.find((one) => one.method === method.trim());
  const given = verb ? argumentsOf(verb.params, values) : parseJson(raw.trim() || "{}");
  const isGiven = given !== undefined;
  const shown = verb && isObject(given) ? hideSecrets(verb.params, given) : given;
  const isGroup = to.startsWith("@");
  const run = (): void => {
    setAsks(false);
    const isNothing = isObject(given) && Object.keys(given).length === 0;
    const said = Object.entries(more).filter(([, text]) => text.trim() !== "");
    onRun(method.trim(), { ...(!isNothing && { args: given }), ...Object.fromEntries(said) });
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (method.trim() === "" || !isGiven) return;
    // Many boards do at once what cannot be taken back.
    if (isGroup || verb?.confirm === true) setAsks(true);
    else run();
  };
  return (
    <form class="card" onSubmit={submit}>
      <div class="field">
        <label for="method">{t("fleetVerb")}</label>
        <input
          id="method"
          data-search
          list="methods"
          autocapitalize="off"
          autocomplete="off"
          spellcheck={false}
          required
          placeholder="api/verb"
          value={method}
          onInput={({ currentTarget }) => setMethod(currentTarget.value)}
        />
        <datalist id="methods">
          {verbs.map((one) => (
            <option key={one.method} value={one.method}>
              {one.info}
            </option>
          ))}
        </datalist>
        {verb && verb.info !== "" && (
          <p class="hint">
            <bdi>{verb.info}</bdi>
          </p>
        )}
        {verb && verb.privileges.length > 0 && (
          <p class="hint">{t("locked", verb.privileges.join(", "))}</p>
        )}
      </div>
      {verb ? (
        verb.params.map((param) => (
          <Field
            key={`${method} ${param.name}`}
            param={param}
            value={values[param.name] ?? ""}
            fault={undefined}
            onChange={(value) => setValues({ ...values, [param.name]: value })}
          />
        ))
      ) : (
        <div class="field">
          <label for="args">
            {t("fleetArguments")} <span class="optional">{t("optional")}</span>
          </label>
          <textarea
            id="args"
            rows={1}
            spellcheck={false}
            placeholder="{}"
            value={raw}
            aria-invalid={!isGiven}
            onInput={({ currentTarget }) => setRaw(currentTarget.value)}
          />
          {!isGiven && <p class="fault">{t("fleetNoJson")}</p>}
        </div>
      )}
      <details>
        <summary>{t("fleetOptions")}</summary>
        {OPTIONS[isGroup ? "group" : "board"].map((name) => {
          const [text, placeholder] = HINTS[name];
          return (
            <div class="field" key={name}>
              <label for={name}>{t(text)}</label>
              <input
                id={name}
                autocapitalize="off"
                autocomplete="off"
                spellcheck={false}
                placeholder={placeholder}
                value={more[name] ?? ""}
                onInput={({ currentTarget }) => setMore({ ...more, [name]: currentTarget.value })}
              />
            </div>
          );
        })}
      </details>
      <div class="buttons">
        <button type="submit" class="primary">
          {isGroup ? t("fleetRun", to, count) : t("run")}
        </button>
      </div>
      {asks && (
        <Confirm
          name={isGroup ? `${method.trim()} → ${to} (${count})` : method.trim()}
          args={JSON.stringify(shown, null, 2)}
          onAnswer={(yes) => (yes ? run() : setAsks(false))}
        />
      )}
    </form>
  );
}
