/** Sessions by uuid: whose they are, how long they are kept, and where a request says which is its own. */
import { describe, expect, test } from "bun:test";
import {
  callerOf,
  cookieName,
  readCredentials,
  sessionCookie,
  Sessions,
} from "../../src/server/session.ts";

function made(most = 3, timeout = 10) {
  let now = 0;
  const sessions = new Sessions(most, timeout, () => now);
  const open = (uuid?: string, peer?: { uid: number; gid: number }) =>
    sessions.open({ fromCookie: false, ...(uuid !== undefined && { uuid }) }, peer);
  return { sessions, open, at: (ms: number) => void (now = ms) };
}

describe("a session", () => {
  test("is the same by its uuid, of the same user", () => {
    const { sessions, open } = made(9);
    const one = open("a");
    expect([open("a") === one, one.uuid, one.connections]).toEqual([true, "a", 0]);
    const own = open("a", { uid: 1, gid: 2 });
    expect([own === one, open("a", { uid: 1, gid: 2 }) === own]).toEqual([false, true]);
    expect([open("a", { uid: 1, gid: 3 }) === own, open("a", { uid: 2, gid: 2 }) === own]).toEqual([
      false,
      false,
    ]);
    expect(open().uuid).toMatch(/^[\da-f-]{36}$/);
    expect(open()).not.toBe(open());
    expect(sessions.size).toBe(7);
    expect(JSON.stringify(one)).toBe('{"uuid":"a","connections":0,"lastUsed":0}');
  });

  test("has so many seconds from its last use on", () => {
    const { sessions, open, at } = made();
    const one = open("a");
    expect([one.timeout, one.remain]).toEqual([10, 10]);
    at(999);
    expect(one.remain).toBe(10);
    at(1000);
    expect(one.remain).toBe(9);
    expect([open("a") === one, one.remain]).toEqual([true, 10]);
    at(10_999);
    expect([one.remain, open("b").uuid, sessions.size]).toEqual([1, "b", 2]);
    at(11_000);
    open("c");
    expect([one.remain, sessions.size]).toEqual([0, 2]);
    at(60_000);
    expect([one.remain, open("a") === one]).toEqual([0, false]);
  });

  test("is kept as long as it has a connection; of the others the one used longest ago goes", () => {
    const { sessions, open, at } = made();
    const [first, second] = [open("1"), open("2")];
    open("3");
    first.connections = 1;
    open("4");
    expect([sessions.size, open("1") === first]).toEqual([3, true]);
    expect(open("2")).not.toBe(second);
    at(60_000);
    open("5");
    expect([open("1") === first, sessions.size]).toEqual([true, 2]);
    const busy = made(1);
    busy.open("a").connections = 1;
    busy.open("b").connections = 1;
    expect(busy.sessions.size).toBe(2);
  });

  test("is one of 4096, of a year, where nothing else is said", () => {
    const { most, timeout, now } = new Sessions();
    expect([most, timeout]).toEqual([4096, 32_000_000]);
    expect(now()).toBeGreaterThan(0);
  });
});

describe("what a request says of who calls", () => {
  const of = (headers: Record<string, string>, parameters: Record<string, string> = {}) =>
    readCredentials(
      (name) => headers[name],
      (name) => parameters[name],
      80,
    );
  test("its token: of a header before a parameter", () => {
    expect(of({})).toEqual({ fromCookie: false });
    expect(of({ authorization: "bearer  t " }).token).toBe("t");
    for (const authorization of ["Basic t", "Bearer", "Bearer a b"])
      expect(of({ authorization }).token).toBeUndefined();
    const headers = { authorization: "Bearer 1", "x-afb-token": "2" };
    const parameters = { access_token: "3", "x-afb-token": "4", token: "5" };
    const tokens = [];
    for (const given of [headers, { "x-afb-token": "2" }, {}])
      tokens.push(of(given, parameters).token);
    expect(tokens).toEqual(["1", "2", "3"]);
    expect([
      of({}, { "x-afb-token": "4", token: "5" }).token,
      of({}, { token: "5" }).token,
    ]).toEqual([...["4", "5"]]);
    expect(of({}, { token: "" })).toEqual({ fromCookie: false });
  });
  test("its session: of a header, a parameter, or else the cookie of this port", () => {
    const cookie = "x-afb-uuid-81=no; x-afb-uuid-80 = c ; a";
    const all = { "x-afb-uuid": "1", uuid: "2", cookie };
    expect(of(all, { "x-afb-uuid": "3", uuid: "4" })).toEqual({ uuid: "1", fromCookie: false });
    expect(of({ uuid: "2", cookie }, { "x-afb-uuid": "3" }).uuid).toBe("2");
    expect(of({ cookie }, { "x-afb-uuid": "3", uuid: "4" }).uuid).toBe("3");
    expect(of({ cookie }, { uuid: "4" })).toEqual({ uuid: "4", fromCookie: false });
    expect(of({ cookie })).toEqual({ uuid: "c", fromCookie: true });
    expect(of({ uuid: "not plain!", cookie })).toEqual({ uuid: "c", fromCookie: true });
    expect([of({ uuid: "u".repeat(64) }).uuid?.length, of({ uuid: "u".repeat(65) }).uuid]).toEqual([
      64,
      undefined,
    ]);
    expect(of({ cookie: "x-afb-uuid-80=" })).toEqual({ fromCookie: false });
    expect(of({ cookie: "b=1" }).uuid).toBeUndefined();
  });
  test("its cookie is for this server alone", () => {
    expect(cookieName(80)).toBe("x-afb-uuid-80");
    expect(sessionCookie(80, "u", "")).toBe(
      "x-afb-uuid-80=u; Path=/; Max-Age=32000000; HttpOnly; SameSite=Lax",
    );
    expect(sessionCookie(80, "u", "/box", "https:")).toBe(
      "x-afb-uuid-80=u; Path=/box; Max-Age=32000000; HttpOnly; SameSite=Lax; Secure",
    );
    expect(sessionCookie(80, "u", "/box", "http:")).toEndWith("SameSite=Lax");
  });
  test("and what else is known of it", () => {
    expect(callerOf({}, undefined)).toEqual({});
    const user = { uid: 1, gids: [2], confined: false };
    const certificate = { names: ["CN:x"], until: 5 };
    expect(
      callerOf({ token: "t" }, { uid: 1, gid: 2, user } as never, {
        ...{ address: "a", via: "rest", certificate },
      }),
    ).toEqual({ token: "t", user, certificate, address: "a", via: "rest" });
    expect(callerOf({ token: "" }, { uid: 1, gid: 2 } as never)).toEqual({ token: "" });
  });
});
