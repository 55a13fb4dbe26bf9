/** Light or dark, the language, and the view that the address names from the start: each in a window of its own. */
import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { componentsAmid, componentsAt } from "./components.ts";

interface Parts {
  readonly dark: { readonly value: boolean };
  followTheme(): void;
  switchTheme(): void;
  keep(store: string, key: string, value: string | undefined): void;
  followRoute(): void;
  readonly route: { readonly value: object };
}

test("the light is the system's until it is switched here, and that is kept", async () => {
  await using page = await componentsAt("http://localhost/", "theme.ts", "storage.ts");
  const { dark, followTheme, switchTheme } = page.from as unknown as Parts;
  const { window } = page;
  const shown = () => window.document.documentElement.dataset["theme"];
  const kept = () => window.localStorage.getItem("spawnbox:theme");
  followTheme();
  // As happy-dom's system has it.
  const first = dark.value;
  const name = (isDark: boolean) => (isDark ? "dark" : "light");
  expect([shown(), kept()]).toEqual([name(first), null]);
  expect(window.matchMedia("(prefers-color-scheme: dark)").matches).toBe(first);
  for (const isDark of [!first, first]) {
    switchTheme();
    expect([dark.value, shown(), kept()]).toEqual([isDark, name(isDark), name(isDark)]);
  }
});

test.each([
  ["the system's, as it changes", undefined, [false, true, false], ["light", "dark", "light"]],
  ["dark, whatever the system has", "dark", [false, true, false], ["dark", "dark", "dark"]],
  ["light, whatever the system has", "light", [true, false, true], ["light", "light", "light"]],
] as const)("the light is %s", async (_what, kept, system, expected) => {
  let changed: (event: { matches: boolean }) => void = () => {};
  const matchMedia = (query: string) => ({
    matches: query === "(prefers-color-scheme: dark)" && system[0],
    addEventListener: (type: string, call: typeof changed) => {
      if (type === "change") changed = call;
    },
  });
  const localStorage = {
    getItem: (key: string) => (key === "spawnbox:theme" ? kept : null) ?? null,
  };
  await using page = await componentsAmid(
    { matchMedia, localStorage },
    "http://localhost/",
    "theme.ts",
  );
  (page.from as unknown as Parts).followTheme();
  const shown = system.map((matches) => {
    changed({ matches });
    return page.window.document.documentElement.dataset["theme"];
  });
  expect(shown).toEqual([...expected]);
});

test("the view is that of the address from the start", async () => {
  const scrolled: number[][] = [];
  const scrollTo = (...to: number[]) => void scrolled.push(to);
  await using page = await componentsAmid({ scrollTo }, "http://localhost/#/t/7", "route.ts");
  const { followRoute, route } = page.from as unknown as Parts;
  followRoute();
  expect(route.value).toEqual({ view: "task", id: "7" });
  page.window.location.hash = "#/server";
  await until("it is read", () => (route.value as { view: string }).view === "server");
  // Each view begins at its top.
  expect(scrolled).toEqual([
    [0, 0],
    [0, 0],
  ]);
});

test("the language is the one that was chosen, else the first of the browser's that there is", async () => {
  for (const [languages, kept, expected] of [
    [["de-AT", "fr"], undefined, "de"],
    [["xx", "FR-ca", "de"], undefined, "fr"],
    [["xx", "yy"], undefined, "en"],
    [[], undefined, "en"],
    [["de"], "fr", "fr"],
    [["de"], "zz", "de"],
  ] as const) {
    await using page = await componentsAt("http://localhost/", "text.ts", "storage.ts");
    const { preferred, keep } = page.from as unknown as Parts & { preferred(): string };
    Object.defineProperty(page.window.navigator, "languages", { value: languages });
    keep("local", "language", kept);
    expect([languages, kept, preferred()]).toEqual([languages, kept, expected]);
  }
});
