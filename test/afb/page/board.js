/* What a page for the recovery of a board does: what the board is, and how far its update has come, from what scripts print. */
const socket = new WebSocket(`ws://${location.host}/api`, ["x-afb-ws-json1"]);
const at = (id) => document.getElementById(id);
let calls = 0;
const replies = new Map();

/* Its calls are put together by hand, as pages do that were never told otherwise. */
const call = (method, args) =>
  new Promise((resolve, reject) => {
    replies.set(String(++calls), { 3: resolve, 4: reject });
    socket.send(`[2,${calls},'${method}',${args},]`);
  });

const item = (id, text) => {
  const made = document.createElement("li");
  made.textContent = text;
  at(id).append(made);
};

function about(data) {
  for (const [key, value] of Object.entries(data)) {
    for (const [name, text] of [
      ["dt", key],
      ["dd", JSON.stringify(value)],
    ]) {
      const made = document.createElement(name);
      made.textContent = text;
      at("about").append(made);
    }
  }
}

const shown = {
  "board/about": ({ stdout }) => stdout && about(stdout),
  "board/update": ({ type, stdout, status, ...rest }) => {
    if (stdout) {
      at("bar").value = stdout.progress;
      item("steps", `${stdout.progress} ${stdout.step}`);
    } else if (rest["json-error"]) item("steps", `not read: ${rest["json-error"]}`);
    if (type === "final-event") at("end").textContent = JSON.stringify(status);
  },
  "monitor/trace": ({ request, data }) =>
    item(
      "traced",
      `${request.verb} ${request.action} ${data.status ?? JSON.stringify(data.params)}`,
    ),
};

socket.onmessage = ({ data }) => {
  const [kind, id, content] = JSON.parse(data);
  if (kind === 5) shown[id]?.(content.data);
  else replies.get(id)?.[kind](content);
};
socket.onclose = ({ code }) => (at("state").textContent = `closed: ${code}`);
socket.onopen = async () => {
  try {
    await call(
      "monitor/trace",
      "{'add': {'tag': 'page', 'apiname': 'board', 'request': 'common',},}",
    );
    await call("board/about", "start");
    at("update").onclick = () => call("board/update", "{'args': {'image': 'full',},}");
    at("state").textContent = "ready";
  } catch (error) {
    at("state").textContent = `failed: ${JSON.stringify(error)}`;
  }
};
