/** Who may do what in the virtual machine: its access file, and the token that its checks call with. */
import { hashOf } from "../../src/access/token.ts";

export const VPN_TOKEN = "checks-of-the-tunnel";

export function accessFile(): string {
  const privileges = ["urn:spawnbox:vpn:control", "urn:spawnbox:vpn:watch"];
  return JSON.stringify({ grants: [{ token: hashOf(VPN_TOKEN), privileges }] });
}
