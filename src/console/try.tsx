/**
 * Try it: one command in several sandboxes side by side, with what differs marked and explained. A command line of the visitor's
 * goes through the verb `exec` of the sandboxes that allow it; exercises are commands that several sandboxes have.
 */
import { useState } from "preact/hooks";
import { plainOf } from "./ansi.ts";
import { catalogue } from "./catalogue.ts";
import type { Api, Sandbox, Verb } from "./model.ts";
import { Denied } from "./denied.tsx";
import { differencesOf, isOwn, type Run, reasonsOf, runOf } from "./differences.ts";
import { duration, outcomeOf } from "./outcome.ts";
import { sandboxLink, tryLink } from "./route.ts";
import { Score } from "./score.tsx";
import { startStoppable } from "./stoppable.ts";
import { t, told } from "./text.ts";

export function TryView({ api }: { api: string | undefined }) {
  const all = (catalogue.value ?? []).filter((one) => one.sandboxes.length > 0);
  const chosen =
    all.find(({ name }) => name === api) ??
    all.find((one) => exercisesOf(one).length > 0) ??
    all.find(({ sandboxes }) => sandboxes.some(({ exec }) => exec)) ??
    all[0];
  return (
    <>
      <h1>{t("try")}</h1>
      <p class="lead">{t("tryLead")}</p>
      {all.length > 1 && (
        <p class="samples">
          {all.map(({ name }) => (
            <a
              key={name}
              class="button small"
              href={tryLink(name)}
              aria-current={name === chosen?.name}
            >
              {name}
            </a>
          ))}
        </p>
      )}
      {chosen ? <Bench key={chosen.name} api={chosen} /> : <p class="empty">{t("noVerbs")}</p>}
    </>
  );
}

interface Exercise {
  readonly uid: string;
  readonly title: string;
  readonly lesson: string;
  readonly verbs: readonly Verb[];
}

/** Commands that several sandboxes have, and that need no arguments. */
export function exercisesOf({ sandboxes }: Api): Exercise[] {
  const verbs = sandboxes.flatMap((one) => one.verbs);
  return [...new Set(verbs.map(({ uid }) => uid))].flatMap((uid) => {
    const same = verbs.filter((verb) => verb.uid === uid);
    const isAsked = ({ params, confirm }: Verb) => confirm || params.some((one) => one.required);
    if (same.length < 2 || same.some(isAsked)) return [];
    const info = told(same.find((one) => one.info !== undefined)?.info ?? uid);
    const [, title = info, lesson = ""] = /^(.{3,60}?[?!.])\s+(.*)$/s.exec(info) ?? [];
    return [{ uid, title, lesson, verbs: same }];
  });
}

/** Seconds that a line of the visitor's may take. */
const PATIENCE = 10;

interface Trial {
  readonly sandbox: Sandbox;
  /** undefined while it runs. */
  readonly run: Run | undefined;
  readonly stop: () => void;
}

export function Bench({ api }: { api: Api }) {
  const [trials, setTrials] = useState<readonly Trial[]>([]);
  const [chosen, setChosen] = useState<string>();
  const [line, setLine] = useState("");
  const free = api.sandboxes.filter(({ exec }) => exec);
  const exercises = exercisesOf(api);
  const exercise = exercises.find(({ uid }) => uid === chosen);
  const busy = trials.some(({ run }) => run === undefined);

  const tryAll = (calls: readonly { sandbox: Sandbox; verb: string; args: unknown }[]): void => {
    const started = calls.map(({ sandbox, verb, args }) => {
      const { reply, stop } = startStoppable(`${api.name}/${verb}`, sandbox.uid, args);
      return { reply, trial: { sandbox, run: undefined, stop } };
    });
    setTrials(started.map(({ trial }) => trial));
    for (const { reply, trial } of started)
      void reply.then((one) =>
        setTrials((before) =>
          before.map((other) => (other === trial ? { ...trial, run: runOf(one) } : other)),
        ),
      );
  };
  const tryExercise = ({ uid, verbs }: Exercise): void => {
    setChosen(uid);
    tryAll(
      verbs.flatMap((verb) => {
        const sandbox = api.sandboxes.find(({ uid }) => uid === verb.sandbox);
        return sandbox ? [{ sandbox, verb: verb.name, args: {} }] : [];
      }),
    );
  };
  const tryLine = (event: Event): void => {
    event.preventDefault();
    if (line.trim() === "" || busy) return;
    setChosen(undefined);
    const exec = { cmdpath: "/bin/sh", args: ["-c", line] };
    tryAll(
      free.map((sandbox) => ({
        sandbox,
        verb: "exec",
        args: { sandbox: sandbox.uid, uid: "try", exec, encoder: "text", timeout: PATIENCE },
      })),
    );
  };
  return (
    <>
      {exercises.length > 0 && (
        <div class="exercises">
          {exercises.map((one) => (
            <button
              key={one.uid}
              type="button"
              disabled={busy}
              aria-pressed={one === exercise}
              onClick={() => tryExercise(one)}
            >
              {one.title}
            </button>
          ))}
        </div>
      )}
      {free.length > 0 ? (
        <form class="own-line" onSubmit={tryLine}>
          <label for="line">{t("ownLine", free.map(({ uid }) => uid).join(", "))}</label>
          <span class="search">
            <input
              id="line"
              data-search
              autocapitalize="off"
              autocomplete="off"
              spellcheck={false}
              value={line}
              placeholder="id; ls /; cat /proc/net/dev"
              onInput={({ currentTarget }) => setLine(currentTarget.value)}
            />
            <button type="submit" class="primary" disabled={busy}>
              {t("run")}
            </button>
          </span>
        </form>
      ) : (
        <p class="hint">
          {t("noExec")} <code>"exec": true</code>
        </p>
      )}
      {exercise && exercise.lesson !== "" && <p class="lesson">{exercise.lesson}</p>}
      {trials.length > 0 && <Trials trials={trials} />}
    </>
  );
}

function Trials({ trials }: { trials: readonly Trial[] }) {
  const runs = trials.flatMap(({ run }) => run ?? []);
  return (
    <>
      <div class="trials">
        {trials.map(({ sandbox, run, stop }) => (
          <Column key={sandbox.uid} {...{ sandbox, run, stop, runs }} />
        ))}
      </div>
      <Differences sandboxes={trials.map(({ sandbox }) => sandbox)} />
    </>
  );
}

function Column({
  sandbox,
  run,
  stop,
  runs,
}: Trial & {
  runs: readonly Run[];
}) {
  const { api, uid, info, explained } = sandbox;
  return (
    <article class="card trial">
      <div class="card-head">
        <h2>
          <a href={sandboxLink(api, uid)}>{uid}</a>
        </h2>
        {explained && <Score score={explained.score} />}
        {info !== undefined && <p>{told(info)}</p>}
      </div>
      {!run && (
        <p class="quiet">
          {t("running")} …{" "}
          <button
            type="button"
            class="danger small"
            aria-label={`${t("stop")}: ${uid}`}
            onClick={stop}
          >
            {t("stop")}
          </button>
        </p>
      )}
      {run?.fault !== undefined && <p class="fault">{run.fault}</p>}
      {run && run.fault === undefined && (
        <>
          <div
            class="trial-output"
            tabIndex={0}
            role="region"
            aria-label={`${t("output")}: ${uid}`}
          >
            {run.printed.length === 0 && <span class="quiet">{t("nothing")}</span>}
            {run.printed.map((one, i) => {
              const own = isOwn(one, runs);
              const line = plainOf(one.text);
              return (
                <div key={i} class={`row ${one.from}`}>
                  {own ? <mark>{line}</mark> : line}
                </div>
              );
            })}
            {run.more > 0 && <span class="quiet">{t("moreLines", run.more)}</span>}
          </div>
          <p class={`end ${outcomeOf(run.status).kind}`}>
            {outcomeOf(run.status).words}
            {run.wall !== undefined && <span class="quiet"> {duration(run.wall)}</span>}
          </p>
          {run.status && <Denied status={run.status} />}
          {reasonsOf(run).map((reason) => (
            <p key={reason} class="reason">
              {t(reason)}
            </p>
          ))}
        </>
      )}
    </article>
  );
}

/** How these sandboxes differ, and what each of that is for. */
function Differences({ sandboxes }: { sandboxes: readonly Sandbox[] }) {
  const differences = differencesOf(sandboxes);
  if (differences.length === 0) return null;
  return (
    <section>
      <h2>{t("differences")}</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("differences")}>
        <table class="differences">
          <thead>
            <tr>
              <th scope="col" />
              {sandboxes.map(({ uid }) => (
                <th key={uid} scope="col">
                  {uid}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {differences.map(({ aspect, words }) => (
              <tr key={aspect}>
                <th scope="row">
                  {t(`aspect_${aspect}`)}
                  <p>{t(`why_${aspect}`)}</p>
                </th>
                {words.map((text, i) => (
                  <td key={i}>{text}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
