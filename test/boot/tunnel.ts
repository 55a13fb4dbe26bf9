/** Both ends of a WireGuard tunnel, with keys made for one run. */
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** As wg(8) writes them. */
function keys(): { secret: string; known: string } {
  const { privateKey } = generateKeyPairSync("x25519");
  const { d = "", x = "" } = privateKey.export({ format: "jwk" });
  const base64 = (text: string) => Buffer.from(text, "base64url").toString("base64");
  return { secret: base64(d), known: base64(x) };
}

/** Files for wg-quick(8) here and wg(8) setconf at the other end, below `dir`. */
export function tunnel(dir: string): { here: string; there: string } {
  const [own, other] = [keys(), keys()];
  const [here, there] = [join(dir, "wg0.conf"), join(dir, "peer.conf")];
  writeFileSync(
    here,
    `[Interface]
PrivateKey = ${own.secret}
ListenPort = 51820
Address = 10.77.0.1/24
MTU = 1420
[Peer]
PublicKey = ${other.known}
AllowedIPs = 10.77.0.2/32
Endpoint = 10.78.0.2:51821
`,
  );
  writeFileSync(
    there,
    `[Interface]
PrivateKey = ${other.secret}
ListenPort = 51821
[Peer]
PublicKey = ${own.known}
AllowedIPs = 10.77.0.1/32
Endpoint = 10.78.0.1:51820
`,
  );
  return { here, there };
}
