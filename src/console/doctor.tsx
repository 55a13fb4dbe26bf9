/** What the kernel and the user of the server can do, found out by the server when it is asked for. */
import { useState } from "preact/hooks";
import { call, type Reply, succeeded } from "./connection.ts";
import { isObject, listOf, objectOf, textOf } from "./json.ts";
import { t } from "./text.ts";

export function Doctor() {
  const [reply, setReply] = useState<Reply>();
  const [busy, setBusy] = useState(false);
  const ask = async (): Promise<void> => {
    setBusy(true);
    setReply(await call("monitor/doctor"));
    setBusy(false);
  };
  const features = listOf(objectOf(reply?.response)["features"]).filter(isObject);
  // What is missing comes first.
  const sorted = [...features].sort((a, b) => Number(a["ok"] === true) - Number(b["ok"] === true));
  return (
    <section>
      <h2>{t("doctor")}</h2>
      <p class="hint">{t("doctorHelp")}</p>
      <div class="buttons">
        <button type="button" disabled={busy} onClick={() => void ask()}>
          {t("examine")}
        </button>
      </div>
      {reply && !succeeded(reply) && <p class="fault lines">{reply.info || reply.status}</p>}
      {sorted.length > 0 && (
        <ul class="list card features">
          {sorted.map(({ name, ok, found, remedy }) => (
            <li key={textOf(name)}>
              <span class={`chip ${ok === true ? "good" : "bad"}`}>
                {t(ok === true ? "there" : "missing")}
              </span>
              <code>{textOf(name)}</code>
              <span class="info">{textOf(found)}</span>
              {textOf(remedy) !== undefined && <p>→ {textOf(remedy)}</p>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
