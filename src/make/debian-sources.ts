/**
 * Where Debian's packages come from: from where this machine gets its own, or from SPAWNBOX_DEBIAN_MIRROR. See sources.list(5).
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ETC = "/etc/apt";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

type Fields = Readonly<Record<string, string>>;

/** Sources of a release, as deb822, with or without its security updates. Throws where none can be derived. */
export function debianSources(release: string, security: boolean): string {
  const mirror = process.env["SPAWNBOX_DEBIAN_MIRROR"];
  const signed = existsSync(KEYRING) ? { "signed-by": KEYRING } : undefined;
  const found: Fields[] = mirror
    ? [{ uris: mirror, suites: "any", ...signed }]
    : hostEntries().filter(isDebian);
  const text = found.flatMap((entry) => {
    const suites = new Set(
      (entry["suites"] ?? "")
        .split(/\s+/)
        // What was updated in a release goes on to its last point release; its security archive stays.
        .filter((suite) => !/-(updates|backports|proposed-updates)/.test(suite))
        .filter((suite) => security || !suite.endsWith("-security"))
        .map((suite) => (suite.endsWith("-security") ? `${release}-security` : release)),
    );
    if (suites.size === 0) return [];
    return [
      "Types: deb",
      `URIs: ${entry["uris"]}`,
      `Suites: ${[...suites].join(" ")}`,
      "Components: main",
      ...(entry["signed-by"] ? [`Signed-By: ${entry["signed-by"]}`] : []),
      "",
    ];
  });
  if (text.length > 0) return text.join("\n");
  throw new Error(
    `no Debian archive among the apt sources of this machine (${ETC}): set SPAWNBOX_DEBIAN_MIRROR to the URL of one`,
  );
}

/** Debian's own entries: others have suites or components of other names, or a keyring of their own. */
function isDebian(entry: Fields): boolean {
  const words = (field: string) => (entry[field] ?? "").split(/\s+/);
  const key = entry["signed-by"];
  return (
    words("types").includes("deb") &&
    words("components").includes("main") &&
    entry["enabled"]?.toLowerCase() !== "no" &&
    (key === undefined || key.includes("debian-archive")) &&
    words("uris").every((uri) => !uri.includes("ubuntu")) &&
    words("suites").every((suite) =>
      /^(oldoldstable|oldstable|stable|testing|bullseye|bookworm|trixie|forky|sid|unstable)(-security|-updates|-backports|-proposed-updates)?$/.test(
        suite,
      ),
    )
  );
}

function hostEntries(): Fields[] {
  const parts = join(ETC, "sources.list.d");
  const files = [join(ETC, "sources.list"), ...(existsSync(parts) ? listed(parts) : [])];
  return files
    .filter((file) => existsSync(file))
    .flatMap((file) => {
      const text = readFileSync(file, "utf8").replaceAll(/^\s*#.*\n?/gm, "");
      return file.endsWith(".sources") ? stanzas(text) : lines(text);
    });
}

const listed = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => /\.(list|sources)$/.test(name))
    .map((name) => join(dir, name));

function stanzas(text: string): Fields[] {
  return text
    .split(/\n\s*\n/)
    .filter((stanza) => stanza.trim() !== "")
    .map((stanza) =>
      Object.fromEntries(
        // A line that begins with a blank goes on with the field: a key may be written out.
        stanza.split(/\n(?!\s)/).map((field) => {
          const colon = field.indexOf(":");
          return [field.slice(0, colon).trim().toLowerCase(), field.slice(colon + 1).trim()];
        }),
      ),
    );
}

function lines(text: string): Fields[] {
  return text.split("\n").flatMap((line) => {
    const [, type, options = "", uri, suite, components] =
      /^\s*(deb)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (!type || !uri || !suite || !components) return [];
    const key = /\bsigned-by=(\S+)/.exec(options)?.[1];
    return [
      { types: type, uris: uri, suites: suite, components, ...(key && { "signed-by": key }) },
    ];
  });
}
