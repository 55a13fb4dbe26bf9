/** The console in a real browser, as somebody uses it: by labels and keys. Screenshots stay in dist/screenshots, for people to look at. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { until } from "../served.ts";

const SCREENSHOTS = join(import.meta.dir, "../../dist/screenshots");
const AXE = join(import.meta.dir, "../../node_modules/axe-core/axe.min.js");

export class Page {
  constructor(readonly view: Bun.WebView) {}

  async open(address: string): Promise<void> {
    // What only differs behind # is no navigation.
    await this.view.navigate("about:blank");
    await this.view.navigate(address);
  }

  async go(hash: string): Promise<void> {
    await this.evaluate(`location.hash = ${JSON.stringify(hash)}`);
  }

  evaluate<T>(script: string): Promise<T> {
    return this.view.evaluate<T>(script);
  }

  /** Of a script that changes nothing: a page that is just being left is asked once more. */
  async look<T>(script: string): Promise<T> {
    for (let left = 100; ; left--) {
      try {
        return await this.evaluate<T>(script);
      } catch (error) {
        if (left === 0 || !String(error).includes("navigated or closed")) throw error;
        await Bun.sleep(50);
      }
    }
  }

  text(selector = "body"): Promise<string> {
    return this.look(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`);
  }

  count(selector: string): Promise<number> {
    return this.look(`document.querySelectorAll(${JSON.stringify(selector)}).length`);
  }

  async see(text: string, selector?: string): Promise<void> {
    try {
      await until(text, async () => (await this.text(selector)).includes(text));
    } catch (error) {
      const instead = (await this.text(selector)).slice(-2000);
      throw new Error(`not seen: ${text}; instead: ${instead}`, { cause: error });
    }
  }

  /** The last line of the output; all of it takes long where it is long. */
  lastLine(): Promise<string> {
    return this.look("[...document.querySelectorAll('.log .row')].at(-1)?.textContent ?? ''");
  }

  /** As a click does, on the first that has this text, or this label. */
  async press(text: string): Promise<void> {
    const find = `[...document.querySelectorAll("main button, main a, main summary, header a, header button")]
      .find((one) => one.textContent.trim() === ${JSON.stringify(text)} && !one.disabled)`;
    await until(`a button ${text}`, () => this.look<boolean>(`!!${find}`));
    await this.evaluate(`${find}.click()`);
  }

  /** By keys, until what has this text, or this label, has the focus. */
  async tabTo(text: string): Promise<void> {
    const focused =
      "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()";
    for (let left = 60; (await this.look<string>(focused)) !== text; left--) {
      if (left === 0) throw new Error(`no way by keys: ${text}`);
      await this.view.press("Tab");
    }
  }

  /** Into the field of that id. */
  async fill(id: string, value: string): Promise<void> {
    await until(`a field ${id}`, async () => (await this.count(`#${id}`)) > 0);
    await this.evaluate(`(() => {
      const field = document.getElementById(${JSON.stringify(id)});
      field.value = ${JSON.stringify(value)};
      field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
    })()`);
  }

  async size(width: number, height: number): Promise<void> {
    await this.view.cdp("Emulation.setDeviceMetricsOverride", {
      ...{ width, height, deviceScaleFactor: 1, mobile: width < 700 },
    });
  }

  async scheme(value: "light" | "dark"): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value }];
    await this.view.cdp("Emulation.setEmulatedMedia", { features });
  }

  async screenshot(name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await Bun.write(join(SCREENSHOTS, `${name}.png`), await this.view.screenshot());
  }

  /** What keeps people from using what is shown, by axe-core: rules of WCAG 2.2, levels A and AA. */
  async barriers(): Promise<string[]> {
    if (!(await this.evaluate<boolean>("'axe' in window")))
      await this.evaluate(`(() => { ${await Bun.file(AXE).text()}; return 0; })()`);
    return await this.evaluate(`axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => id + ": " + html.slice(0, 160) + " " + failureSummary)))`);
  }

  /** Pixels that the page is wider than the window. */
  overflow(): Promise<number> {
    return this.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
  }
}
