/** The console: a page that shows what a server can do, lets one call it, and shows what comes of it. */
import { render } from "preact";
import { App } from "./app.tsx";
import { connect } from "./connection.ts";
import { followRoute } from "./route.ts";
import { preferred, setLanguage } from "./text.ts";
import { onChange } from "./signal.ts";
import { followTheme } from "./theme.ts";

const place = document.getElementById("app");
if (!place) throw new Error("the page has no place for the console");

followTheme();
followRoute();
connect();
await setLanguage(preferred(), false);
const draw = (): void => render(<App />, place);
let asked = false;
onChange(() => {
  // Once for changes that come together.
  if (!asked) queueMicrotask(() => ((asked = false), draw()));
  asked = true;
});
// What the page has brought along.
place.replaceChildren();
draw();
