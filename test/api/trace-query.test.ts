/** Which traces are asked for, and which dropped: each word, each bound, each refusal. */
import { describe, expect, test } from "bun:test";
import { type Trace, tracesToAdd, tracesToDrop } from "../../src/api/trace-query.ts";
import { AfbError } from "../../src/errors.ts";

const said = <Value>(work: () => Value): Value | string => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    expect(error.status).toBe("invalid-request");
    return error.message;
  }
};
const NAMES = ["a", "b", "monitor"];
const shown = ({ name, tag, api, verb, uuid, pattern, actions, uuids }: Trace) => ({
  ...{ name, tag, uuids, api: NAMES.filter(api), verb: NAMES.filter(verb) },
  ...{ uuid: NAMES.filter(uuid), pattern: NAMES.filter(pattern) },
  actions: [...actions.request, ...actions.event, ...actions.session].join(" "),
});
const added = (value: unknown, most = 9) => {
  const found = said(() => tracesToAdd(value, most));
  return typeof found === "string" ? found : found.map(shown);
};
const UNASKED = "begin reply push_before push_after";
const plain = {
  ...{ name: "trace", tag: "trace", uuids: [], api: ["a", "b"], verb: NAMES, uuid: NAMES },
  ...{ pattern: NAMES, actions: UNASKED },
};

test.each<[string, unknown, object[]]>([
  ["nothing", undefined, []],
  ["all that there is to tell", {}, [plain]],
  ["in a word", "all", [{ ...plain, actions: "begin reply" }]],
  ["two", ["begin", {}], [{ ...plain, actions: "begin" }, plain]],
  [
    "with names",
    { name: "x.y-z_1", tag: "t", verbname: "A", uuid: ["a", "*"], pattern: ["b", "b"] },
    [
      {
        ...plain,
        name: "x.y-z_1",
        tag: "t",
        verb: ["a"],
        uuid: ["a"],
        uuids: ["a"],
        pattern: ["b"],
      },
    ],
  ],
  ["of any session", { uuid: "*" }, [plain]],
  ["of an API", { apiname: "a" }, [{ ...plain, api: ["a"] }]],
  ["of the monitor, which is named", { api: "monitor" }, [{ ...plain, api: ["monitor"] }]],
  ["of all, without it", { apiname: ["a", "*"] }, [plain]],
  ["of an API among words", { api: ["call", "b"] }, [{ ...plain, api: ["b"] }]],
  [
    "of what APIs do, of which there is nothing",
    { api: ["call", "start"] },
    [{ ...plain, actions: "" }],
  ],
  ["of sessions alone", { session: true }, [{ ...plain, actions: "create close" }]],
  ["of events", { event: "all" }, [{ ...plain, actions: "push_before push_after" }]],
  ["of one kind", { event: "push_after", request: false }, [{ ...plain, actions: "push_after" }]],
  ["of none", { request: null }, [{ ...plain, actions: "" }]],
  [
    "of other words",
    { request: ["args", "subcall"], session: "destroy" },
    [{ ...plain, actions: "begin close" }],
  ],
  ["of both at once", { request: "life" }, [{ ...plain, actions: "begin reply" }]],
  ["of none of it", { request: "none" }, [{ ...plain, actions: "" }]],
  ["of what is silent", { daemon: true, service: false, global: "x" }, [{ ...plain, actions: "" }]],
  [
    "for several, of which each has what is said of all",
    { tag: "t", for: [{ apiname: "a" }, { name: "n", for: { apiname: "b" } }] },
    [
      { ...plain, tag: "t", api: ["a"] },
      { ...plain, tag: "t", name: "n", api: ["b"] },
    ],
  ],
  ["for none", { for: [] }, []],
])("%s", (_what, value, expected) => {
  expect(added(value)).toEqual(expected as never);
});

test("words that say nothing here are known all the same", () => {
  const words = {
    request:
      "addref context context_drop context_get context_getinit context_make context_set end event extra get get_application_id get_client_info get_uid has_permission interface ref security session session_close session_set_LOA session_get_LOA stores subcall subcall_req subcall_result subcalls subcallsync subcallsync_result subscribe unref unstore unsubscribe userdata vverbose",
    event: "addref broadcast_after broadcast_before create extra name unref",
    session: "addref unref",
  };
  for (const [kind, list] of Object.entries(words))
    for (const word of list.split(" "))
      expect([word, added({ [kind]: word })]).toEqual([word, [{ ...plain, actions: "" }]]);
  const api =
    "add_alias all api_add_verb api api_del_verb api_seal api_set_on_event api_set_on_init api_set_verbs call callsync abort_job class_provide class_require common delete_api event event_broadcast event_handler_add event_handler_del event_make extra get_event_loop get_system_bus get_user_bus new_api on_event on_event_handler post_job require_api rootdir_get_fd rootdir_open_locale settings start unshare_session vverbose";
  for (const word of api.split(" "))
    expect([word, added({ api: word })]).toEqual([word, [{ ...plain, actions: "" }]]);
});

test.each<["request" | "event" | "session", string, Record<string, string>]>([
  [
    ...(["request", "begin reply"] as const),
    { begin: "begin", args: "begin", json: "begin", life: "begin reply", reply: "reply" },
  ],
  [
    ...(["event", "push_before push_after"] as const),
    { push_before: "push_before", push_after: "push_after" },
  ],
  [
    ...(["session", "create close"] as const),
    { create: "create", close: "close", destroy: "close" },
  ],
])("each word of a %s that says something", (kind, all, words) => {
  const every = { all, common: all, "*": all, true: all, none: "" };
  for (const [word, actions] of Object.entries({ ...every, ...words }))
    expect([word, added({ [kind]: word })]).toEqual([word, [{ ...plain, actions }]]);
});

const LONG = "x".repeat(257);
test.each<[unknown, string]>([
  [5, "add: expected an object, or a list of them"],
  [[null], "add: expected an object, or a list of them"],
  [
    ...([{ tags: "x" }] as const),
    'add: unknown key "tags"; did you mean `tag`? (name, tag, api, apiname, verbname, uuid, pattern, request, event, session, daemon, service, global, for)',
  ],
  [{ ["k".repeat(81)]: 1 }, expect.stringContaining(`unknown key "${"k".repeat(80)}" (`) as never],
  [{ name: "a b" }, "add.name: expected letters, digits, `_`, `.` or `-`"],
  [{ name: "n".repeat(65) }, "add.name: expected letters, digits, `_`, `.` or `-`"],
  [{ name: "" }, "add.name: expected letters, digits, `_`, `.` or `-`"],
  [{ name: 5 }, "add.name: expected a string"],
  [{ tag: LONG }, "add.tag: expected a string"],
  [{ uuid: 5 }, "add.uuid: expected a string, or a list of them"],
  [{ apiname: ["a", LONG] }, "add.apiname: expected a string, or a list of them"],
  [{ verbname: true }, "add.verbname: expected a string, or a list of them"],
  [{ daemon: 5 }, "add.daemon: expected a string, or a list of them"],
  [{ request: 5 }, "add.request: expected a string, or a list of them"],
  [{ request: "begn" }, 'add.request: unknown word "begn"; did you mean `begin`?'],
  [{ session: "zzzzzz" }, 'add.session: unknown word "zzzzzz"'],
])("%j is none", (value, why) => {
  expect(added(value)).toEqual(why as never);
});

test("as many at a time as there may be, and texts as long", () => {
  expect(added([{}, {}], 2)).toHaveLength(2);
  expect(added([{}, {}, {}], 2)).toBe("at most 2 traces at a time");
  expect(added({ name: "n".repeat(64), tag: LONG.slice(1), uuid: LONG.slice(1) })).toHaveLength(1);
});

describe("dropped", () => {
  const traces = tracesToAdd(
    [
      { name: "a", tag: "t1", uuid: "u" },
      { name: "b", tag: "t2" },
      { name: "a", tag: "t3" },
    ],
    9,
  );
  const dropped = (value: unknown) => {
    const found = said(() => tracesToDrop(value, traces));
    return typeof found === "string" ? found : [...found].map(({ tag }) => tag);
  };
  test.each<[unknown, string[]]>([
    [undefined, []],
    [false, []],
    [true, ["t1", "t2", "t3"]],
    ["t2", ["t2"]],
    [
      ["t3", "t1", "t3"],
      ["t3", "t1"],
    ],
    ["T*", ["t1", "t2", "t3"]],
    [{ event: "a" }, ["t1", "t3"]],
    [{ uuid: "u" }, ["t1"]],
    [{ tag: "t2", uuid: ["u"] }, ["t2", "t1"]],
    [{ tag: "t2", event: "a" }, ["t2", "t1", "t3"]],
    [{ event: "b", uuid: "u" }, ["t2", "t1"]],
  ])("%j", (value, tags) => {
    expect(dropped(value)).toEqual(tags);
  });
  test.each<[unknown, string]>([
    ["x", 'drop: no trace has the tag "x"'],
    [{ event: "c" }, 'drop: no trace has the event "c"'],
    [{ uuid: "v" }, 'drop: no trace has the uuid "v"'],
    [{ tags: "x" }, 'drop: unknown key "tags" (tag, event, uuid)'],
    [{ ["k".repeat(81)]: 1 }, `drop: unknown key "${"k".repeat(80)}" (tag, event, uuid)`],
    [{}, "drop: expected true, a tag, or a list of tags"],
    [[], "drop: expected true, a tag, or a list of tags"],
    [5, "drop: expected true, a tag, or a list of tags"],
    [[LONG], "drop: expected true, a tag, or a list of tags"],
    [LONG.slice(1), `drop: no trace has the tag "${LONG.slice(1)}"`],
  ])("%j is none", (value, why) => {
    expect(dropped(value)).toBe(why as never);
  });
});
