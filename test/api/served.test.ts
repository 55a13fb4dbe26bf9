/** Through the executable and a real connection: what depends on the life of a client. */
import { expect, test } from "bun:test";
import { connect } from "../../src/client.ts";
import { serve } from "../served.ts";

const config = {
  metadata: { uid: "t", api: "t" },
  sandboxes: {
    uid: "s",
    acls: { user: `${process.geteuid?.()}` },
    detach: false,
    exec: true,
    commands: [
      { uid: "sleep", exec: { cmdpath: "/bin/sleep", args: "60" } },
      { uid: "stay", detach: true, exec: { cmdpath: "/bin/sleep", args: "60" } },
    ],
  },
};

test("a client that goes stops what it started, but for what is detached", async () => {
  // To hear of others' connections takes a privilege.
  await using server = await serve(config, { argv: ["--access", "open"] });
  const ended = {
    "t/sleep": Promise.withResolvers<void>(),
    "t/exec": Promise.withResolvers<void>(),
  };
  const gone = Promise.withResolvers<void>();
  server.client.on("event", (name, data) => {
    const final = JSON.stringify(data).includes("final-event");
    if (final && (name === "t/sleep" || name === "t/exec")) ended[name].resolve();
    if (name === "monitor/disconnected") gone.resolve();
  });
  await server.call("monitor/subscribe", "disconnected");
  const other = await connect(`${server.url.replace("http", "ws")}/api`);
  await other.call("t/sleep", {});
  const stay = await other.call("t/stay", {});
  await other.call("t/exec", { sandbox: "s", exec: { cmdpath: "/bin/sleep", args: ["60"] } });
  for (const verb of ["t/sleep", "t/exec"]) await server.call(verb, { action: "subscribe" });
  await other.close();
  await Promise.all([ended["t/sleep"].promise, ended["t/exec"].promise, gone.promise]);
  const { pid } = stay.response as { pid: number };
  expect((await server.call("t/stay", { action: "stop" })).response).toEqual([`s/stay@${pid}`]);
});
