/** What is around every view: the way to the others, language, light, and what is wrong with the connection. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { catalogue, isOperator, loadCatalogue, problem } from "./catalogue.ts";
import { generation, lost, refused } from "./connection.ts";
import { followKeys } from "./keys.ts";
import { route } from "./route.ts";
import { loadViews, views } from "./later.ts";
import { MARK } from "./mark.ts";
import { language, LANGUAGES, setLanguage, t } from "./text.ts";
import { dark, switchTheme } from "./theme.ts";
import { VerbView } from "./verb.tsx";
import { Verbs } from "./verbs.tsx";

export function App() {
  const count = generation.value;
  useEffect(() => {
    if (count > 0) void loadCatalogue();
  }, [count]);
  useEffect(followKeys, []);
  useEffect(() => {
    document.documentElement.lang = language.value;
  }, [language.value]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {t("skip")}
      </a>
      <header>
        <a class="brand" href="#/" aria-label="spawnbox">
          <Mark />
          <span>spawnbox</span>
        </a>
        <nav aria-label={t("views")}>
          <Tab to="#/" views={["verbs", "verb"]}>
            {t("verbs")}
          </Tab>
          <Tab to="#/a" views={["activity", "task"]}>
            {t("activity")}
          </Tab>
          <Tab to="#/try" views={["try", "sandbox"]}>
            {t("try")}
          </Tab>
          {isOperator.value && (
            <Tab to="#/f" views={["fleet"]}>
              {t("fleet")}
            </Tab>
          )}
          <Tab to="#/server" views={["server"]}>
            {t("server")}
          </Tab>
        </nav>
        <div class="tools">
          <select
            aria-label={t("language")}
            value={language.value}
            onChange={({ currentTarget }) => void setLanguage(currentTarget.value)}
          >
            {LANGUAGES.map((one) => (
              <option key={one} value={one}>
                {one.toUpperCase()}
              </option>
            ))}
          </select>
          <button
            type="button"
            class="icon"
            onClick={switchTheme}
            aria-label={t(dark.value ? "light" : "dark")}
            title={t(dark.value ? "light" : "dark")}
          >
            {dark.value ? "☀" : "☾"}
          </button>
        </div>
      </header>
      <div aria-live="assertive">
        {lost.value && (
          <p class="banner" role="alert">
            {t("lost")}
          </p>
        )}
        {refused.value && (
          <p class="banner">
            {t("refused")} <a href="#/server">{t("token")}</a>
          </p>
        )}
      </div>
      <main id="main" tabIndex={-1}>
        <View />
      </main>
    </>
  );
}

function View() {
  const now = route.value;
  const count = generation.value;
  const isMore = !["verbs", "verb"].includes(now.view);
  useEffect(() => {
    if (isMore && !views.value) loadViews();
  }, [isMore, count]);
  const more = views.value;
  if (now.view === "task" && more) return <more.TaskView key={now.id} id={now.id} />;
  if (now.view === "activity" && more) return <more.Activity />;
  if (now.view === "server" && more) return <more.ServerView />;
  if (now.view === "fleet" && more) return <more.FleetView to={now.to} />;
  if (!catalogue.value || (isMore && !more))
    return problem.value === "" ? (
      <p class="empty">{t("loading")}</p>
    ) : (
      <p class="fault">{problem.value}</p>
    );
  if (now.view === "verb")
    return <VerbView key={`${now.api}/${now.verb}`} api={now.api} name={now.verb} />;
  if (now.view === "sandbox" && more) return <more.SandboxView api={now.api} uid={now.sandbox} />;
  if (now.view === "try" && more) return <more.TryView api={"api" in now ? now.api : undefined} />;
  return <Verbs />;
}

function Tab({
  to,
  views,
  children,
}: {
  to: string;
  views: readonly string[];
  children: ComponentChildren;
}) {
  const isHere = views.includes(route.value.view);
  return (
    <a href={to} aria-current={isHere ? "page" : undefined}>
      {children}
    </a>
  );
}

/** Not by the address, which says what view it is. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

const Mark = () => (
  <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
    <path d={MARK} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round" />
  </svg>
);
