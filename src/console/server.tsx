/** The server itself: what it tells of itself, reading its configs anew, and who one is to it. */
import { useEffect, useState } from "preact/hooks";
import { catalogue, loadCatalogue } from "./catalogue.ts";
import { base, call, generation, reconnect, type Reply, succeeded, token } from "./connection.ts";
import { Doctor } from "./doctor.tsx";
import { isObject, objectOf, textOf, textsOf } from "./json.ts";
import { type Sample, sampleOf } from "./metrics.ts";
import { keep } from "./storage.ts";
import { t } from "./text.ts";
import { Curve } from "./values.tsx";

export function ServerView() {
  return (
    <>
      <h1>{t("server")}</h1>
      <About />
      <div class="columns">
        <Token />
        <Reload />
      </div>
      <Metrics />
      <Notices />
      <Doctor />
    </>
  );
}

function About() {
  const [version, setVersion] = useState("");
  useEffect(() => {
    const ask = async (): Promise<void> => {
      const response = await fetch(base, { headers: { accept: "application/json" } });
      const about: unknown = response.ok ? await response.json() : undefined;
      setVersion(textOf(objectOf(about)["version"]) ?? "");
    };
    // While there is no server the banner says so.
    ask().catch(() => setVersion(""));
  }, [generation.value]);
  return (
    <p class="lead">
      {location.host}
      {version !== "" && ` · spawnbox ${version}`}
    </p>
  );
}

function Token() {
  const [value, setValue] = useState("");
  const [has, setHas] = useState(token() !== undefined);
  const [wrong, setWrong] = useState(false);
  const use = (next: string | undefined): void => {
    keep("session", "token", next);
    setHas(next !== undefined);
    setValue("");
    reconnect();
  };
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        const given = value.trim();
        // Anything else is none, and cannot be in a header.
        const isToken = /^[!-~]+$/.test(given);
        setWrong(given !== "" && !isToken);
        if (isToken) use(given);
      }}
    >
      <h2>{t("token")}</h2>
      <div class="field">
        <label for="token">{t(has ? "tokenKept" : "tokenHelp")}</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          value={value}
          aria-invalid={wrong}
          aria-describedby={wrong ? "token-fault" : undefined}
          onInput={({ currentTarget }) => setValue(currentTarget.value)}
        />
        {wrong && (
          <p class="fault" id="token-fault">
            {t("noToken")}
          </p>
        )}
      </div>
      <div class="buttons">
        <button type="submit" class="primary">
          {t("use")}
        </button>
        {has && (
          <button type="button" onClick={() => use(undefined)}>
            {t("forget")}
          </button>
        )}
      </div>
    </form>
  );
}

function Reload() {
  const [reply, setReply] = useState<Reply>();
  const reload = async (): Promise<void> => {
    setReply(await call("monitor/reload"));
    await loadCatalogue();
  };
  const changes =
    reply && succeeded(reply) && isObject(reply.response) ? reply.response : undefined;
  const kinds = (["added", "changed", "removed"] as const).filter(
    (kind) => textsOf(changes?.[kind]).length > 0,
  );
  return (
    <section class="card">
      <h2>{t("reload")}</h2>
      <p class="hint">{t("reloadHelp")}</p>
      <div class="buttons">
        <button type="button" onClick={() => void reload()}>
          {t("reload")}
        </button>
      </div>
      {reply && !changes && <p class="fault lines">{reply.info || reply.status}</p>}
      {changes && kinds.length === 0 && <p>{t("unchanged")}</p>}
      {kinds.map((kind) => (
        <p key={kind}>
          {t(kind)}: {textsOf(changes?.[kind]).join(", ")}
        </p>
      ))}
    </section>
  );
}

/** ms between looks, and how many are kept. */
const LOOK = 3_000;
const MOST = 100;

function Metrics() {
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const [fault, setFault] = useState("");
  useEffect(() => {
    if (generation.value === 0) return;
    let over = false;
    const look = async (): Promise<void> => {
      const reply = await call("monitor/metrics");
      if (over) return;
      const text = textOf(reply.response) ?? textOf(objectOf(reply.response)["text"]);
      if (text === undefined) {
        if (reply.status !== "disconnected") setFault(reply.info);
        return;
      }
      setFault("");
      setSamples((before) => [...before.slice(1 - MOST), sampleOf(text)]);
    };
    void look();
    const timer = setInterval(() => void look(), LOOK);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [generation.value]);
  const last = samples.at(-1);
  if (fault !== "") return <p class="notice">{fault}</p>;
  if (!last) return null;
  const rates = samples.slice(1).map((one, i) => one.launches - (samples[i]?.launches ?? 0));
  return (
    <div class="curves">
      <Figure
        name={t("memory")}
        value={`${(last.memory / 1e6).toFixed(1)} MB`}
        points={samples.map((one) => one.memory)}
      />
      <Figure name={t("launches")} value={String(last.launches)} points={rates} />
      <Figure
        name={t("running")}
        value={String(last.running)}
        points={samples.map((one) => one.running)}
      />
    </div>
  );
}

function Figure({
  name,
  value,
  points,
}: {
  name: string;
  value: string;
  points: readonly number[];
}) {
  return (
    <figure class="card">
      <figcaption>
        {name} <strong>{value}</strong>
      </figcaption>
      {points.length > 1 && <Curve points={points} />}
    </figure>
  );
}

function Notices() {
  const all = (catalogue.value ?? []).flatMap((api) => [
    ...api.notices.map((text) => `${api.name}: ${text}`),
    ...api.sandboxes.flatMap(({ notices }) => notices.map((text) => `${api.name}: ${text}`)),
  ]);
  return (
    <section>
      <h2>{t("notices")}</h2>
      {all.length === 0 && <p class="empty">{t("noNotices")}</p>}
      {all.map((text) => (
        <p key={text} class="notice">
          {text}
        </p>
      ))}
    </section>
  );
}
