/** All verbs, by API and sandbox, and a search for one. */
import { useState } from "preact/hooks";
import { catalogue, isLocked, verbsOf } from "./catalogue.ts";
import type { Api, Sandbox, Verb } from "./model.ts";
import { go, sandboxLink, verbLink } from "./route.ts";
import { Score } from "./score.tsx";
import { Lock } from "./lock.tsx";
import { t, told } from "./text.ts";

export function Verbs() {
  const [sought, setSought] = useState("");
  const words = sought
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const fits = ({ api, name, info = "" }: Verb): boolean => {
    const text = `${api}/${name} ${told(info)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const apis = (catalogue.value ?? []).map((api) => ({
    ...api,
    sandboxes: api.sandboxes
      .map((sandbox) => ({ ...sandbox, verbs: sandbox.verbs.filter(fits) }))
      .filter(({ verbs }) => verbs.length > 0),
    others: api.others.filter(fits),
  }));
  const found = apis.flatMap(verbsOf);
  const choose = (event: Event): void => {
    event.preventDefault();
    const [first] = found;
    if (first) go(verbLink(first.api, first.name));
  };
  return (
    <>
      <form class="search" role="search" onSubmit={choose}>
        <input
          type="search"
          data-search
          value={sought}
          placeholder={t("searchVerbs")}
          aria-label={t("searchVerbs")}
          onInput={({ currentTarget }) => setSought(currentTarget.value)}
        />
        <kbd aria-hidden="true">/</kbd>
      </form>
      {found.length === 0 && <p class="empty">{t(sought === "" ? "noVerbs" : "nothingFound")}</p>}
      {apis.map(
        (api) =>
          api.sandboxes.length + api.others.length > 0 && <ApiSection key={api.name} api={api} />,
      )}
    </>
  );
}

function ApiSection({ api }: { api: Api }) {
  return (
    <section>
      <h1>{api.name}</h1>
      {api.info !== undefined && <p class="lead">{told(api.info)}</p>}
      {api.sandboxes.map((sandbox) => (
        <SandboxCard key={sandbox.uid} sandbox={sandbox} />
      ))}
      {api.others.length > 0 && (
        <div class="card">
          <List verbs={api.others} />
        </div>
      )}
    </section>
  );
}

function SandboxCard({ sandbox }: { sandbox: Sandbox }) {
  const { api, uid, info, verbs, explained } = sandbox;
  return (
    <div class="card">
      <div class="card-head">
        <h2>
          <a href={sandboxLink(api, uid)}>{uid}</a>
        </h2>
        {explained && <Score score={explained.score} />}
        {info !== undefined && <p>{told(info)}</p>}
      </div>
      <List verbs={verbs} />
    </div>
  );
}

function List({ verbs }: { verbs: readonly Verb[] }) {
  return (
    <ul class="list">
      {verbs.map((verb) => (
        <li key={verb.name}>
          <a class="row-link" href={verbLink(verb.api, verb.name)}>
            <code>{verb.name}</code>
            <span class="info">{told(verb.info ?? "")}</span>
            {verb.unavailable !== undefined && <span class="chip bad">{t("unavailable")}</span>}
            {isLocked(verb) && (
              <span class="chip lock" title={verb.privileges.join(", ")}>
                <Lock /> {verb.privileges.join(", ")}
              </span>
            )}
          </a>
        </li>
      ))}
    </ul>
  );
}
