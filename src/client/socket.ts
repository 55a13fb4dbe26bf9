/** Opens a WebSocket for the sub-protocol. */
import { ConnectionError } from "./errors.ts";

const PROTOCOL = "x-afb-ws-json1";

/** Rejects with a {@link ConnectionError} that says what to look at. @param token Sent where headers can be. */
export function openSocket(url: string, token: string | undefined): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = create(url, token);
    socket.onopen = () => {
      socket.onerror = null;
      socket.onclose = null;
      resolve(socket);
    };
    const fail = (reason: string): void => {
      const advice = "is the server running there, and is the path /api?";
      reject(new ConnectionError(`cannot connect to ${url}: ${reason}; ${advice}`));
    };
    socket.onerror = (event) => {
      fail(event instanceof ErrorEvent && event.message ? event.message : "connection failed");
    };
    socket.onclose = ({ reason }) => fail(reason || "connection closed");
  });
}

/** Browsers have no headers here, and take the second argument for names of protocols only. */
function create(url: string, token: string | undefined): WebSocket {
  if (!("Bun" in globalThis) || token === undefined) return new WebSocket(url, [PROTOCOL]);
  const headers = { authorization: `Bearer ${token}` };
  return new WebSocket(url, { protocols: [PROTOCOL], headers });
}
