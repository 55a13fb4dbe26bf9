/** What our client makes of servers that are none of this protocol. */
import { expect, test } from "bun:test";
import { connect } from "../../src/client.ts";

test.each(["hello", "[]", '{"a":1}', "[9,1,2]"])(
  "one that says %s is hung up on, and told why",
  async (text) => {
    const closed = Promise.withResolvers<[number, string]>();
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request, own) => (own.upgrade(request) ? undefined : new Response("no")),
      websocket: {
        open: (socket) => void socket.send(text),
        message: () => {},
        close: (_, code, reason) => closed.resolve([code, reason]),
      },
    });
    const client = await connect(`ws://127.0.0.1:${server.port}/api`);
    expect(await closed.promise).toEqual([4002, "not an AFB server"]);
    await client.close();
    await server.stop(true);
  },
);
