/* What the devtools page does at its start, with the npm client as it is; then a button for each sample of each verb. */
import { AFB } from "@redpesk/afb-ws";

const say = (id, text) => {
  const item = document.createElement("li");
  item.textContent = typeof text === "string" ? text : JSON.stringify(text);
  document.getElementById(id).append(item);
};
const element = (name, text, parent) => {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
};

const afb = new AFB({ base: "api", token: "HELLO" });
const ws = new afb.ws(
  () => start().catch((error) => finish(`failed: ${error.stack ?? JSON.stringify(error)}`)),
  () => finish("aborted"),
);
function finish(state) {
  document.getElementById("state").textContent = state;
}

async function start() {
  ws.onevent("*", (event) => say("events", event));
  const described = await ws.call("monitor/get", { apis: true });
  const { response } = await ws.call("monitor/get", { apis: false });
  for (const api of Object.keys(response.apis)) {
    if (api === "monitor") continue;
    const { response: info } = await ws.call(`${api}/info`, {});
    show(api, info, described.response.apis[api]);
  }
  finish("ready");
}

function show(api, info, description) {
  const section = element("section", "", document.getElementById("apis"));
  element("h2", `${api}: ${info.metadata.info}`, section);
  element("p", `described: ${Object.keys(description.paths).sort().join(" ")}`, section).id = api;
  for (const group of info.groups) {
    element("h3", `${group.uid}: ${group.info}`, section);
    for (const verb of group.verbs) {
      const row = element("p", `${verb.verb} (${verb.info}) `, section);
      row.className = "verb";
      for (const [i, sample] of (verb.sample ?? [{}]).entries()) {
        button(row, `${verb.uid}-${i}`, JSON.stringify(sample), `${api}/${verb.verb}`, sample);
      }
      button(row, `${verb.uid}-stop`, "stop", `${api}/${verb.verb}`, { action: "stop" });
    }
  }
}

function button(parent, id, text, method, args) {
  const made = element("button", text, parent);
  made.id = id;
  made.onclick = () =>
    ws.call(method, args).then(
      (reply) => say("replies", reply),
      (reply) => say("replies", reply),
    );
}
