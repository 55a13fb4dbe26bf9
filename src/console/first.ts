/**
 * The script that runs first. What the page brings along is painted in the light that was chosen; only then the script of main.tsx is
 * read, which stands in the page as text: it would hold that up. The policy of the page has the hash of both. Browsers that cannot run
 * the other can run this, so it is written as in 2017, and says so.
 */
import { recall } from "./storage.ts";

const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.documentElement.dataset["theme"] = recall("local", "theme") || system;

/** The last of what the page needs that came to browsers: who has it has all. */
const canRun = "findLast" in Array.prototype;

function tell(): void {
  const told = document.createElement("p");
  told.setAttribute("role", "alert");
  told.textContent =
    "This browser cannot run this page, which needs Chromium 97, Firefox 104, Safari 15.4 or one that is newer. Programs get JSON here: curl -H 'Accept: application/json'";
  document.body.append(told);
}

/** ms after which nobody waits for the painting any more: a window that others cover may paint nothing for long. */
const PATIENCE = 2_000;

function go(): void {
  const script = document.createElement("script");
  script.type = "module";
  const main = document.getElementById("main-script");
  script.textContent = main && main.textContent;
  document.head.append(script);
}

// Over a slow network the page ends long after this, and with it the text of that script.
document.addEventListener("DOMContentLoaded", () => {
  if (!canRun) return tell();
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
