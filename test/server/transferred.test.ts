/** The output of a command as an answer: its head, its bytes as somebody reads them, and how it ended. */
import { describe, expect, test } from "bun:test";
import type { Reply } from "../../src/api/reply.ts";
import { failure, success } from "../../src/api/reply.ts";
import type { WireStatus } from "../../src/api/status.ts";
import { AfbError } from "../../src/errors.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { trailersOf } from "../../src/server/http/trailers.ts";
import { HttpError } from "../../src/server/respond.ts";
import { Transfer } from "../../src/server/transfer.ts";
import { isSettled } from "../api/listener.ts";

const K = 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const USAGE = { wall: 1, user: 0, system: 0, maxrss: 0 };
const status = (how: object) => ({ ...how, usage: USAGE }) as WireStatus;

function made(headers: Record<string, string> = {}, file = { type: "image/png", name: "a b.png" }) {
  let begun = 0;
  const request = new Request("http://x/", { headers });
  const transfer = new Transfer(request, file, () => void begun++);
  return { transfer, begun: () => begun };
}

test("conditions cannot be met: there is no earlier output", () => {
  for (const name of ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]) {
    const { transfer } = made({ [name]: "x" });
    expect(() => transfer.require()).toThrow(
      new HttpError(412, `what a command prints has no version: ask without ${name}`),
    );
    // The reply that says so has that status.
    const answered: unknown[] = [];
    transfer.without(failure(new Error("no")), (_reply, http) => {
      answered.push(http);
      return new Response();
    });
    expect(answered).toEqual([412]);
  }
  expect(made({ range: "bytes=0-1" }).transfer.require()).toBeUndefined();
});

describe("bytes", () => {
  test("are the answer, under what they are said to be, and nothing else", async () => {
    const { transfer, begun } = made();
    expect([transfer.write(new Uint8Array()), begun()]).toEqual([undefined, 0]);
    expect([transfer.write(bytes("ab")), begun()]).toEqual([undefined, 1]);
    const replied = Promise.withResolvers<Reply>();
    const response = transfer.begin(replied.promise);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "image/png",
      "content-disposition": expect.stringContaining("a b.png"),
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      "cache-control": "no-store, no-transform",
      "x-content-type-options": "nosniff",
      "accept-ranges": "none",
      "x-accel-buffering": "no",
    });
    const text = response.text();
    expect(transfer.write(bytes("c"))).toBeUndefined();
    const trailers = trailersOf(response);
    expect([trailers?.names, trailers?.fields()]).toEqual([
      ["spawnbox-exit"],
      [["spawnbox-exit", "unknown"]],
    ]);
    transfer.ended(status({ exit: 0 }));
    expect(trailers?.fields()).toEqual([["spawnbox-exit", "0"]]);
    expect(await isSettled(text)).toBe(false);
    replied.resolve(success());
    expect(await text).toBe("abc");
    expect(transfer.write(bytes("late"))).toBeUndefined();
  });

  test("wait for who reads them, 64 KiB at most", async () => {
    const { transfer } = made();
    const { body } = transfer.begin(new Promise(() => {}));
    expect(transfer.write(new Uint8Array(64 * K - 1))).toBeUndefined();
    const waiting = transfer.write(bytes("x"));
    expect(await isSettled(waiting)).toBe(false);
    const reader = body?.getReader();
    await reader?.read();
    await waiting;
    await reader?.cancel();
    // Who has gone is not waited for.
    expect(transfer.write(new Uint8Array(128 * K))).toBeUndefined();
  });

  test.each(["drop", "failure"])("break off where they are not all there: by %s", async (how) => {
    const { transfer } = made();
    const replied = Promise.withResolvers<Reply>();
    const response = transfer.begin(replied.promise);
    const waiting = transfer.write(new Uint8Array(128 * K));
    if (how === "drop") transfer.drop();
    else replied.resolve(failure(new Error("no")));
    await waiting;
    expect(response.text()).rejects.toThrow("the command's output is not all there");
    expect(transfer.write(bytes("x"))).toBeUndefined();
  });
});

describe("nothing printed", () => {
  const without = (how: object | undefined, prepare: (one: Transfer) => void = () => {}) => {
    const { transfer, begun } = made();
    prepare(transfer);
    if (how) transfer.ended(status(how));
    const replies: Reply[] = [];
    const response = transfer.without(success({ pid: 1 }), (reply) => {
      replies.push(reply);
      return new Response("answered", { status: 201 });
    });
    expect(transfer.write(bytes("late"))).toBeUndefined();
    expect(begun()).toBe(0);
    return { response, replies };
  };
  const told = (how: object) => {
    const { response, replies } = without(how);
    expect(response.status).toBe(201);
    const [{ request, response: content } = success()] = replies;
    expect(content).toEqual({ pid: 1 });
    return `${request.status}: ${request.info}`;
  };

  test("is an empty file of a command that ended well", async () => {
    const { response, replies } = without({ exit: 0 });
    expect([response.status, await fetched(response).text()]).toEqual([201, ""]);
    expect([response.headers.get("spawnbox-exit"), replies.length]).toEqual(["0", 1]);
    expect(response.headers.get("content-type")).toBe("image/png");
  });

  test("is a failure of one that did not", () => {
    const said = "internal-error: nothing was printed, and it ended with";
    expect(told({ exit: 3 })).toBe(`${said} 3`);
    expect(told({ signal: "Killed" })).toBe(`${said} Killed`);
    expect(told({})).toBe(`${said} unknown`);
    expect(told({ signal: "Killed", cause: "timeout" })).toBe(
      "timeout: nothing was printed, and it ended with Killed; timeout",
    );
    expect(told({ signal: "Killed", cause: "stopped" })).toBe(`${said} Killed; stopped`);
  });

  test("is what the reply says of one that never ran, or whose output is not for the caller any more", () => {
    expect(without(undefined).replies).toEqual([success({ pid: 1 })]);
    const { replies } = without({ exit: 0 }, (one) => one.drop());
    expect(replies).toEqual([
      failure(
        new AfbError(
          "disconnected",
          "its output is not for this caller any more: a privilege was withdrawn, or the server ends",
        ),
      ),
    ]);
  });
});
