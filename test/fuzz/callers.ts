/** Who calls, as certificates and proxies tell it: names with their kind and nothing hidden in them, an address, or an error of ours. */
import { isIP } from "node:net";
import { element, oid, TAG } from "../../src/der.ts";
import { namesIn } from "../../src/server/certificate.ts";
import { Proxies } from "../../src/server/proxy.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

const TEXTS = ["tablet", "a, CN=b", "x\0.evil", "é", "\u200b", "spiffe://a/b", "", "DNS:a", "\n"];

function certificate(random: Random): Buffer {
  const text = (): Buffer => Buffer.from(random.pick(TEXTS as [string, ...string[]]));
  const attribute = () =>
    element(
      TAG.set,
      element(
        TAG.sequence,
        oid(random.pick(["2.5.4.3", "2.5.4.10"])),
        element(random.pick([TAG.utf8, TAG.printable, TAG.ia5, 0x1e, 0x14]), text()),
      ),
    );
  const names = random.list(5, () => element(random.pick([0x81, 0x82, 0x86, 0x87, 0xa0]), text()));
  const extension = (id: string, value: Buffer): Buffer =>
    element(TAG.sequence, oid(id), element(TAG.octetString, value));
  const extensions = [
    extension("2.5.29.19", element(TAG.sequence)),
    ...random.list(2, () => extension("2.5.29.17", element(TAG.sequence, ...names))),
  ];
  const empty = element(TAG.sequence);
  return element(
    TAG.sequence,
    element(
      TAG.sequence,
      ...(random.once(9) ? [] : [element(0xa0, element(TAG.integer, Buffer.of(2)))]),
      ...[element(TAG.integer, Buffer.of(1)), empty, empty, empty],
      element(TAG.sequence, ...random.list(3, attribute)),
      ...[empty, element(0xa3, element(TAG.sequence, ...extensions))],
    ),
    empty,
  );
}

export const certificates: Target = {
  name: "certificates",
  make: (random) =>
    Buffer.from(
      random.once(3) ? certificate(random) : spoil(random, certificate(random), 4),
    ).toString("base64"),
  check(input: Json) {
    let names: string[];
    try {
      names = namesIn(Buffer.from(String(input), "base64"));
    } catch (error) {
      demand(error instanceof Error && error.message.includes("DER"), "another error", error);
      return;
    }
    for (const name of names) {
      demand(/^(?:CN|DNS|URI|email):./su.test(name), "a name without its kind", name);
      demand(!/[\p{C}\p{Zl}\p{Zp}]/u.test(name), "a name with what cannot be seen", name);
      demand(name.startsWith("CN:") || /^[ -~]+$/.test(name), "a name that is not ASCII", name);
    }
    demand(names.filter((name) => name.startsWith("CN:")).length <= 1, "two CNs", names);
  },
};

const OWN = ["10.0.0.0/8", "fd00::/8"];
const proxies = new Proxies(OWN);

export const forwarded: Target = {
  name: "forwarded",
  make: (random) =>
    random
      .list(6, () =>
        random.pick([
          ...["10.0.0.2", "192.0.2.1", "fd00::1", "2001:db8::1", "[2001:db8::1]:80", "192.0.2.1:1"],
          ...["::ffff:10.1.1.1", "unknown", "", " ", "10.0.0.1%x", "1.2.3", '"192.0.2.9"', "[::1"],
        ] as [string, ...string[]]),
      )
      .join(random.pick([",", ", ", " ,\t"])),
  check(input: Json) {
    const text = String(input);
    const { address } = proxies.told("10.0.0.1", (name) =>
      name === "x-forwarded-for" ? text : undefined,
    );
    demand(isIP(address) !== 0, "no address", address);
    demand(address === "10.0.0.1" || text.includes(address), "nobody has told it", address);
    // What a caller writes in front of what proxies add changes nothing, once one of them has told who called.
    if (!proxies.trusts(address)) {
      const { address: again } = proxies.told("10.0.0.1", (name) =>
        name === "x-forwarded-for" ? `203.0.113.9, ${text}` : undefined,
      );
      demand(again === address, "what stands before counts", again, address);
    }
  },
};
