/** One verb: its form, what to run it with, the same from a shell, and its last runs. */
import { useEffect, useState } from "preact/hooks";
import { argumentsOf, argumentsOfSample, valuesOf } from "./arguments.ts";
import { findVerb, isLocked } from "./catalogue.ts";
import type { Values, Verb } from "./model.ts";
import { call, generation, type Reply, succeeded } from "./connection.ts";
import { Confirm } from "./confirm.tsx";
import { faultsOf } from "./faults.ts";
import { Field } from "./field.tsx";
import { inOneLine, isObject, parseJson } from "./json.ts";
import { loadViews } from "./later.ts";
import { remember, remembered } from "./remembered.ts";
import { go, sandboxLink, taskLink } from "./route.ts";
import { hideSecrets, putSecrets } from "./secrets.ts";
import { startTask } from "./starts.ts";
import { Shell } from "./shell.tsx";
import { readRecords, type TaskRecord } from "./task-record.ts";
import { TaskList } from "./task-list.tsx";
import { Lock } from "./lock.tsx";
import { t, told } from "./text.ts";

export function VerbView({ api, name }: { api: string; name: string }) {
  const verb = findVerb(api, name);
  // What it starts is looked at.
  useEffect(loadViews, []);
  if (!verb) return <p class="empty">{t("noVerb", `${api}/${name}`)}</p>;
  return (
    <>
      <p class="crumbs">
        <a href="#/">{api}</a>
        {verb.sandbox !== undefined && (
          <>
            {" / "}
            <a href={sandboxLink(api, verb.sandbox)}>{verb.sandbox}</a>
          </>
        )}
      </p>
      <h1>
        <code>{name}</code>
      </h1>
      {verb.info !== undefined && <p class="lead">{told(verb.info)}</p>}
      {verb.unavailable !== undefined && (
        <p class="fault">
          {t("unavailable")}: {verb.unavailable}
        </p>
      )}
      {isLocked(verb) && (
        <p class="notice">
          <Lock /> {t("locked", verb.privileges.join(", "))} <a href="#/server">{t("token")}</a>
        </p>
      )}
      <Form verb={verb} />
      {verb.task && <LastRuns verb={verb} />}
    </>
  );
}

function Form({ verb }: { verb: Verb }) {
  const { api, name, params } = verb;
  const [values, setValues] = useState<Values>(() => ({ ...defaults(verb), ...remembered(verb) }));
  const [raw, setRaw] = useState<string>();
  const [input, setInput] = useState("");
  const [busy, setBusy] = useState(false);
  const [reply, setReply] = useState<Reply>();
  const [asks, setAsks] = useState(false);

  const filled = argumentsOf(params, values);
  const written = raw === undefined ? filled : parseJson(raw === "" ? "{}" : raw);
  // In JSON, too, secrets of the form are not seen, and are sent.
  const given = isObject(written) ? putSecrets(params, written, filled) : undefined;
  const isGiven = given !== undefined;
  const run = async (): Promise<void> => {
    setAsks(false);
    if (busy || !isGiven) return;
    setBusy(true);
    setReply(undefined);
    if (raw === undefined) remember(verb, values);
    try {
      if (!verb.task) return setReply(await call(`${api}/${name}`, given));
      const started = await startTask(api, name, given, verb.fed ? input : undefined);
      if ("id" in started) go(taskLink(started.id));
      else setReply(started);
    } finally {
      setBusy(false);
    }
  };
  const fault = reply && !succeeded(reply) ? reply : undefined;
  const named = raw === undefined ? params.map((param) => param.name) : [];
  const faults = fault && faultsOf(fault.info, named);
  const shown = isGiven ? hideSecrets(params, given) : {};
  const submit = (event: Event): void => {
    event.preventDefault();
    if (verb.confirm && isGiven) setAsks(true);
    else void run();
  };
  return (
    <form class="card" onSubmit={submit}>
      {verb.samples.length > 0 && (
        <p class="samples">
          <span class="hint">{t("samples")}</span>
          {verb.samples.map((sample) => {
            const args = argumentsOfSample(sample);
            const words = Object.values(args).map(inOneLine).join(" ") || t("empty");
            return (
              <button
                key={words}
                type="button"
                class="small"
                onClick={() => {
                  setRaw(undefined);
                  setValues({ ...defaults(verb), ...valuesOf(args) });
                }}
              >
                {words}
              </button>
            );
          })}
        </p>
      )}
      {raw === undefined ? (
        params.map((param) => (
          <Field
            key={param.name}
            param={param}
            value={values[param.name] ?? ""}
            fault={faults?.at.get(param.name)}
            onChange={(value) => setValues({ ...values, [param.name]: value })}
          />
        ))
      ) : (
        <div class="field">
          <label for="raw">JSON</label>
          <textarea
            id="raw"
            rows={5}
            spellcheck={false}
            value={raw}
            aria-invalid={!isGiven}
            onInput={({ currentTarget }) => setRaw(currentTarget.value)}
          />
          {!isGiven && <p class="fault">{t("noJson")}</p>}
        </div>
      )}
      {verb.fed && (
        <div class="field">
          <label for="stdin">{t("input")}</label>
          <textarea
            id="stdin"
            rows={3}
            spellcheck={false}
            value={input}
            onInput={({ currentTarget }) => setInput(currentTarget.value)}
          />
        </div>
      )}
      {fault && faults && (faults.rest !== "" || faults.at.size === 0) && (
        <p class="fault" role="alert">
          <strong>{fault.status}</strong> {faults.rest}
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="primary" disabled={busy || verb.unavailable !== undefined}>
          {busy ? t("starts") : t("run")}
        </button>
        <button
          type="button"
          onClick={() => {
            if (raw === undefined) setRaw(JSON.stringify(shown, null, 2));
            else {
              if (isGiven) setValues(valuesOf(given));
              setRaw(undefined);
            }
          }}
          aria-pressed={raw !== undefined}
        >
          JSON
        </button>
      </div>
      {reply && succeeded(reply) && (
        <pre class="reply">{JSON.stringify(reply.response, null, 2)}</pre>
      )}
      <Shell {...{ api, verb: name, args: shown }} />
      {asks && (
        <Confirm
          name={name}
          args={JSON.stringify(shown, null, 2)}
          onAnswer={(yes) => (yes ? void run() : setAsks(false))}
        />
      )}
    </form>
  );
}

function LastRuns({ verb }: { verb: Verb }) {
  const [tasks, setTasks] = useState<readonly TaskRecord[]>([]);
  const { api, name } = verb;
  useEffect(() => {
    void call("monitor/tasks", { api, verb: name, state: "all", limit: 10 }).then((reply) =>
      setTasks(readRecords(reply.response)),
    );
  }, [api, name, generation.value]);
  if (tasks.length === 0) return null;
  return (
    <section>
      <h2>{t("lastRuns")}</h2>
      <TaskList tasks={tasks} />
    </section>
  );
}

const defaults = ({ params }: Verb): Values =>
  Object.fromEntries(
    params.flatMap(({ name, schema }) =>
      schema["default"] === undefined ? [] : [[name, inOneLine(schema["default"])]],
    ),
  );
