/** Keys of the whole page, and the scripts that it has in two parts: each in a window of its own. */
import { afterEach, describe, expect, test } from "bun:test";
import { until } from "../served.ts";
import { type Components, componentsAmid, componentsAt } from "./components.ts";

const open: Components[] = [];
afterEach(async () => {
  for (const page of open.splice(0)) await page[Symbol.asyncDispose]();
});

describe("keys", () => {
  async function page(hash = "") {
    const made = await componentsAt(`http://localhost/${hash}`, "keys.ts", "route.ts");
    open.push(made);
    const { window } = made;
    const { document } = window;
    const { followKeys, followRoute, route } = made.from as unknown as {
      followKeys(): () => void;
      followRoute(): void;
      readonly route: { readonly value: { readonly view: string } };
    };
    followRoute();
    document.body.innerHTML =
      '<input id="field"><textarea id="area"></textarea><select id="choice"></select><button id="button"></button><input id="search" data-search>';
    const at = (id: string) =>
      document.getElementById(id) as unknown as { focus(): void; remove(): void } | null;
    /** @returns whether the page has kept it from the browser */
    const press = (key: string, more: object = {}, on: object = document.body) => {
      const event = new window.KeyboardEvent("keydown", {
        ...{ key, bubbles: true, cancelable: true, ...more },
      });
      (on as { dispatchEvent(event: unknown): void }).dispatchEvent(event);
      return event.defaultPrevented;
    };
    return { window, document, at, press, route, forget: followKeys() };
  }

  test("/ goes to the search of the view, but in a field, and where there is none", async () => {
    const { document, at, press, forget } = await page();
    expect([press("/"), document.activeElement?.id]).toEqual([true, "search"]);
    for (const id of ["field", "area", "choice"]) {
      at(id)?.focus();
      expect([id, press("/", {}, at(id) ?? {}), document.activeElement?.id]).toEqual([
        ...[id, false, id],
      ]);
    }
    at("button")?.focus();
    expect([press("/", {}, at("button") ?? {}), document.activeElement?.id]).toEqual([
      ...[true, "search"],
    ]);
    at("button")?.focus();
    for (const modifier of ["ctrlKey", "metaKey", "altKey"])
      expect([modifier, press("/", { [modifier]: true })]).toEqual([modifier, false]);
    press("x");
    expect(document.activeElement?.id).toBe("button");
    at("search")?.remove();
    expect(press("/")).toBe(false);
    forget();
  });

  test("Esc leaves a field, then the view", async () => {
    const { at, press, window, document, route } = await page("#/t/7");
    at("field")?.focus();
    press("Escape", {}, at("field") ?? {});
    expect([document.activeElement?.id, window.location.hash]).toEqual(["", "#/t/7"]);
    press("x");
    expect(window.location.hash).toBe("#/t/7");
    press("Escape");
    expect(window.location.hash).toBe("#/a");
    await until("it is there", () => route.value.view === "activity");
    press("Escape");
    expect(window.location.hash).toBe("#/");
    await until("it is there", () => route.value.view === "verbs");
    window.location.hash = "#";
    press("Escape");
    expect(window.location.hash).not.toBe("#/");
  });

  test("are nobody's where a question is open, somebody else has taken them, or nobody follows", async () => {
    const { document, press, window, forget } = await page("#/server");
    const dialog = document.createElement("dialog");
    document.body.append(dialog);
    press("Escape");
    expect([window.location.hash, press("/")]).toEqual(["#/server", false]);
    dialog.remove();
    const take = (event: { preventDefault(): void }) => event.preventDefault();
    document.body.addEventListener("keydown", take as never);
    press("Escape");
    expect(window.location.hash).toBe("#/server");
    document.body.removeEventListener("keydown", take as never);
    forget();
    press("Escape");
    expect(window.location.hash).toBe("#/server");
  });
});

describe("the second script", () => {
  async function page(answer: () => Response) {
    const asked: string[] = [];
    let reloads = 0;
    const sheets: string[] = [];
    const surroundings = {
      fetch: async (url: string) => {
        asked.push(url);
        return url.endsWith("words.json") ? Response.json({}) : answer();
      },
      location: { pathname: "/", origin: "http://localhost", reload: () => void reloads++ },
      CSSStyleSheet: class {
        replaceSync(text: string): void {
          sheets.push(text);
        }
      },
    };
    const made = await componentsAmid(surroundings, "http://localhost/", "later.ts", "storage.ts");
    open.push(made);
    const { loadViews, offer, views } = made.from as unknown as {
      loadViews(): void;
      offer(views: object, style: string): void;
      readonly views: { readonly value: object | undefined };
    };
    const { document, sessionStorage } = made.window;
    Object.defineProperty(document, "adoptedStyleSheets", { value: [] });
    const scripts = () =>
      [...document.head.querySelectorAll("script")].map(({ textContent }) => textContent);
    const renewed = () => sessionStorage.getItem("spawnbox:renewed");
    return { asked, reloads: () => reloads, sheets, scripts, renewed, loadViews, offer, views };
  }
  afterEach(() => void Reflect.deleteProperty(globalThis, "spawnbox"));

  test("is fetched once, with what it has in common with the first; its views are offered with their style", async () => {
    const { loadViews, asked, scripts, offer, views, sheets, reloads, renewed } = await page(
      () => new Response("5"),
    );
    expect(views.value).toBeUndefined();
    const made = {};
    loadViews();
    loadViews();
    // As the script does that runs.
    offer(made, "a{}");
    await until("it is there", () => scripts().length === 1);
    expect([scripts(), asked.toSorted(), sheets]).toEqual([
      ...[["5"], ["/console/more.js", "/console/words.json"], ["a{}"]],
    ]);
    expect(views.value).toBe(made);
    expect((globalThis as { spawnbox?: object }).spawnbox).toMatchObject({
      json: { isObject: expect.any(Function) },
    });
    await until("it is known", () => renewed() === null);
    loadViews();
    expect([asked.length, reloads()]).toEqual([2, 0]);
  });

  test("that did not come is asked for again", async () => {
    let status = 503;
    const { loadViews, asked, scripts, offer } = await page(() => new Response("5", { status }));
    loadViews();
    await until("it is asked for", () => asked.length === 2);
    status = 200;
    offer({}, "");
    await until("it is there", () => {
      loadViews();
      return scripts().length === 1;
    });
    expect(asked.filter((url) => url.endsWith("more.js")).length).toBeGreaterThan(1);
  });

  test("that does not run is of another page: that is read anew, once", async () => {
    const { loadViews, reloads, renewed } = await page(() => new Response("5"));
    loadViews();
    await until("it is read anew", () => reloads() === 1);
    expect(renewed()).toBe("yes");
  });

  test("nor a second time", async () => {
    const { loadViews, reloads, scripts, renewed } = await page(() => new Response("5"));
    open.at(-1)?.window.sessionStorage.setItem("spawnbox:renewed", "yes");
    loadViews();
    await until("it is there", () => scripts().length === 1 && renewed() === null);
    expect(reloads()).toBe(0);
  });
});

test.each([
  ["dark", undefined, "shown", "dark"],
  ["light", undefined, "shown", "light"],
  ["dark", "light", "shown", "light"],
  ["light", "dark", "hidden", "dark"],
  // As a window that others cover may be.
  ["light", undefined, "shown, and not painted", "light"],
])(
  "the first script paints in the light of %s, chosen %p; of a page that is %s it reads the main script once it is whole",
  async (system, chosen, how, theme) => {
    const steps: string[] = [];
    const hidden = how === "hidden";
    let loaded = (): void => undefined;
    let frame = (): void => undefined;
    const timers: (() => void)[] = [];
    const surroundings = {
      matchMedia: (query: string) => ({ matches: query.includes("dark") === (system === "dark") }),
      localStorage: {
        getItem: (key: string) => (key === "spawnbox:theme" ? (chosen ?? null) : null),
      },
      requestAnimationFrame(call: () => void) {
        frame = call;
        return 7;
      },
      cancelAnimationFrame: (id: number) => void steps.push(`no frame ${id}`),
      setTimeout: (call: () => void, ms = 0) => {
        steps.push(`in ${ms} ms`);
        return timers.push(call) - 1;
      },
      clearTimeout: (id: number) => void steps.push(`not ${id}`),
      document: {
        ...{ hidden, documentElement: { dataset: {} as Record<string, string> } },
        addEventListener(name: string, call: () => void) {
          expect(name).toBe("DOMContentLoaded");
          loaded = call;
        },
        createElement: () => ({}),
        getElementById: (id: string) => (id === "main-script" ? { textContent: "main" } : null),
        head: { append: (one: object) => steps.push(JSON.stringify(one)) },
      },
    };
    open.push(await componentsAmid(surroundings, "http://localhost/", "first.ts"));
    expect([surroundings.document.documentElement.dataset, steps]).toEqual([{ theme }, []]);
    loaded();
    const script = '{"type":"module","textContent":"main"}';
    if (hidden) return expect(steps).toEqual([script]);
    expect(steps.splice(0)).toEqual(["in 2000 ms"]);
    if (how === "shown") {
      frame();
      expect(steps.splice(0)).toEqual(["not 0", "in 0 ms"]);
      timers[1]?.();
      expect(steps).toEqual([script]);
    } else {
      timers[0]?.();
      expect(steps).toEqual(["no frame 7", script]);
    }
  },
);
