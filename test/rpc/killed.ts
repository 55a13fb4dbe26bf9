/** An importer that starts a verb over the socket it is given, says so, and is then killed. */
import { StrictPeer } from "./peer.ts";

const [path = "", verb = ""] = process.argv.slice(2);
const peer = await StrictPeer.dial({ path });
await peer.call(verb, null, { api: "demo" });
console.log("started");
await peer.over.promise;
