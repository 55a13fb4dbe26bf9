/**
 * The script that runs first. What the page brings along is painted in the light that was chosen; only then the script of main.tsx is
 * read, which stands in the page as text: it would hold that up. The policy of the page has the hash of both.
 */
import { recall } from "./storage.ts";

const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.documentElement.dataset["theme"] = recall("local", "theme") ?? system;

/** ms after which nobody waits for the painting any more: a window that others cover may paint nothing for long. */
const PATIENCE = 2_000;

function go(): void {
  const script = document.createElement("script");
  script.type = "module";
  script.textContent = document.getElementById("main-script")?.textContent ?? "";
  document.head.append(script);
}

// Over a slow network the page ends long after this, and with it the text of that script.
document.addEventListener("DOMContentLoaded", () => {
  // A page that is hidden paints nothing.
  if (document.hidden) return go();
  const late = setTimeout(() => {
    cancelAnimationFrame(frame);
    go();
  }, PATIENCE);
  const frame = requestAnimationFrame(() => {
    clearTimeout(late);
    setTimeout(go);
  });
});
