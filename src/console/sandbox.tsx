/** One sandbox: what it does before a command runs, what it leaves open, what would close most of that; and a place to try it. */
import { catalogue, findSandbox } from "./catalogue.ts";
import type { Sandbox } from "./model.ts";
import { Score } from "./score.tsx";
import { verbLink } from "./route.ts";
import { inWords } from "./explained.ts";
import { t, told } from "./text.ts";
import { Bench } from "./try.tsx";

export function SandboxView({ api, uid }: { api: string; uid: string }) {
  const sandbox = findSandbox(api, uid);
  const owner = catalogue.value?.find(({ name }) => name === api);
  if (!sandbox || !owner) return <p class="empty">{t("noSandbox", `${api}/${uid}`)}</p>;
  const { info, explained, notices, verbs, exec, execPrivileges } = sandbox;
  return (
    <>
      <p class="crumbs">
        <a href="#/">{api}</a>
      </p>
      <div class="title">
        <h1>{uid}</h1>
        {explained && <Score score={explained.score} />}
      </div>
      {info !== undefined && <p class="lead">{told(info)}</p>}
      {notices.map((one) => (
        <p key={one} class="notice">
          {one}
        </p>
      ))}
      <div class="columns">
        <section class="card">
          <h2>{t("steps")}</h2>
          {explained ? (
            <Steps steps={explained.steps} />
          ) : (
            <p class="notice">{t("notExplained", privilegesOf(sandbox))}</p>
          )}
        </section>
        {explained && (
          <section class="card">
            <h2>{t("leftOpen")}</h2>
            <p class="hint">{t("scoreHelp")}</p>
            <ul class="findings">
              {explained.findings.map(({ what, weight }) => (
                <li key={what}>
                  <span class="weight">{weight.toFixed(1)}</span> {inWords(what)}
                </li>
              ))}
              {explained.findings.length === 0 && <li>{t("nothing")}</li>}
            </ul>
            {explained.improvements.length > 0 && (
              <>
                <h3>{t("improvements")}</h3>
                {explained.improvements.map(({ what, set }) => (
                  <div key={what} class="improvement">
                    <code>{JSON.stringify(set).slice(1, -1)}</code>
                    <p class="hint">{inWords(what)}</p>
                  </div>
                ))}
              </>
            )}
          </section>
        )}
      </div>
      <section>
        <h2>{t("verbs")}</h2>
        <p class="samples">
          {verbs.map(({ name }) => (
            <a key={name} class="button small" href={verbLink(api, name)}>
              {name}
            </a>
          ))}
          {exec && (
            <span class="chip" title={execPrivileges.join(", ")}>
              exec
            </span>
          )}
        </p>
      </section>
      <section>
        <h2>{t("try")}</h2>
        <Bench key={api} api={owner} />
      </section>
    </>
  );
}

/** In their order, with those that make the view of files together. */
function Steps({ steps }: { steps: readonly string[] }) {
  const isMount = (step: string): boolean => /^(mount|link|make|put|hold) /.test(step);
  const mounts = steps.filter(isMount);
  const first = mounts.length > 3 ? steps.findIndex(isMount) : -1;
  return (
    <ol class="steps">
      {steps.map((step, i) => {
        if (first < 0 || !isMount(step)) return <li key={i}>{inWords(step)}</li>;
        if (i !== first) return null;
        return (
          <li key={i}>
            <details>
              <summary>{t("mounts", mounts.length)}</summary>
              <ul>
                {mounts.map((mount) => (
                  <li key={mount}>{inWords(mount)}</li>
                ))}
              </ul>
            </details>
          </li>
        );
      })}
    </ol>
  );
}

const privilegesOf = ({ verbs, execPrivileges }: Sandbox): string =>
  [...new Set([...execPrivileges, ...verbs.flatMap(({ privileges }) => privileges)])].join(", ");
