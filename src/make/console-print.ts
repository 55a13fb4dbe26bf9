/** Prints the console as JSON, for `npm run console`: in a process of its own, which knows nothing of how the source was before. */
import { bundleConsole } from "./console.ts";

const { html, more } = await bundleConsole(false);
console.log(JSON.stringify({ html, more }));
