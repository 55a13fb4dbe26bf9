/**
 * Who calls, with a security module that tells labels of unix sockets. SELinux does so without a policy, too: every process has
 * the label that the kernel begins with.
 */
import assert from "node:assert/strict";
import { Cynagora } from "../../access/cynagora.ts";
import { check } from "./check.ts";
import { serve } from "./server.ts";

const LABEL = "kernel";
const UID = "4321";
const [SOCKET, SERVICE] = ["/run/peer.socket", "/run/peer.service"];

const config = {
  metadata: { uid: "peer", api: "peer" },
  sandboxes: {
    uid: "s",
    acls: { user: "daemon" },
    commands: {
      uid: "shut",
      privilege: "urn:x",
      encoder: "sync",
      exec: { cmdpath: "/bin/echo", args: "open" },
    },
  },
};

/** Asynchronously, since the service is in this process. */
async function called(method: string, ...through: string[]): Promise<string> {
  const command = [...through, "/usr/bin/spawnbox", "call", "--raw", "--url", `unix:${SOCKET}`];
  const child = Bun.spawn([...command, method], { stdio: ["ignore", "pipe", "pipe"] });
  return (await child.stdout.text()) + (await child.stderr.text());
}

export async function peerChecks(): Promise<void> {
  await check(
    "a caller has the label that the kernel tells, and is asked about by it",
    async () => {
      await using service = new Cynagora(({ client, user }) =>
        client === LABEL && user === UID ? "yes" : "no",
      );
      await service.listen(SERVICE);
      await using _ = await serve(config, "unit", [
        ...["--unix", SOCKET, "--unix-mode", "666", "--access", "none"],
        ...["--cynagora", `unix:${SERVICE}`],
      ]);
      const session = await called("monitor/session");
      assert.match(session, new RegExp(`"uid":0,"label":"${LABEL}"`));
      const as = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];
      assert.match(await called("peer/shut", ...as), /"stdout":\["open"\]/);
      assert.deepEqual(
        service.asked.map(({ client, user, permission }) => [client, user, permission]),
        [[LABEL, UID, "urn:x"]],
      );
    },
  );
}
