/** What boards say of themselves, as the page may show it. */
import { expect, test } from "bun:test";
import { components } from "./components.ts";

interface Parts {
  readBoard(told: object): object | undefined;
  readBoards(response: unknown): Readonly<Record<string, unknown>>;
  readVerbs(response: unknown): readonly object[];
}

test("boards and their verbs are texts, whatever they say", async () => {
  await using page = await components("fleet-model.ts");
  const { readBoard, readBoards, readVerbs } = page.from as unknown as Parts;
  expect(
    readBoard({
      board: "b",
      status: "online",
      silent: 2,
      version: "\u001b[31m1",
      groups: ["g", 1],
      apis: ["\u001b[1ma"],
    }),
  ).toEqual({
    ...{ name: "b", status: "online", silent: 2000, version: "1", groups: ["g"], apis: ["a"] },
  });
  const least = { name: "b", status: undefined, silent: 0, version: "", groups: [], apis: [] };
  expect([
    readBoard({ board: "b", status: "odd" }),
    readBoard({ board: "b", status: "offline" }),
  ]).toEqual([least, { ...least, status: "offline" }]);
  expect(readBoard({ status: "online" })).toBeUndefined();
  const nothing = {
    operator: "",
    connected: false,
    known: 0,
    online: 0,
    groups: [],
    found: 0,
    foundOnline: 0,
    boards: [],
  };
  expect([readBoards(undefined), readBoards({ connected: 1, known: "1" })]).toEqual([
    nothing,
    nothing,
  ]);
  const groups = ["g", "a.b-c_d", "", "x y", "x".repeat(64), "x".repeat(65), 1];
  expect(
    readBoards({
      operator: "o",
      connected: true,
      known: 5,
      online: 4,
      groups,
      found: 3,
      foundOnline: 2,
      boards: [{ board: "b" }, 1, {}],
    }),
  ).toEqual({
    ...{
      operator: "o",
      connected: true,
      known: 5,
      online: 4,
      groups: ["g", "a.b-c_d", "x".repeat(64)],
    },
    ...{ found: 3, foundOnline: 2, boards: [least] },
  });
  const verb = {
    ...{ name: "v", info: "\u001b[1mi", confirm: true, privileges: ["\u001b[1mp"] },
    arguments: {
      properties: {
        a: { type: "string", description: "\u001b[1md", enum: ["\u001b[1mx", 1] },
        "\u001b[1mb": {},
      },
      required: ["a"],
    },
  };
  const described = [
    { api: "a", verbs: [verb, { name: "w", confirm: 1 }, { name: "\u001b[1mx" }, 1] },
    1,
    { api: "b", verbs: 1 },
  ];
  expect(readVerbs({ described })).toEqual([
    {
      ...{ method: "a/v", info: "i", privileges: ["p"], confirm: true },
      params: [
        {
          name: "a",
          required: true,
          help: "d",
          schema: { type: "string", description: "d", enum: ["x", 1] },
        },
      ],
    },
    { method: "a/w", info: "", params: [], privileges: [], confirm: false },
  ]);
  expect(readVerbs(1)).toEqual([]);
});
