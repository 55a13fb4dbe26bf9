/** The bill of materials of a release, from the lockfile: CycloneDX 1.5. See cyclonedx.org/docs/1.5/json. */
import { OWN, RUNTIME_PARTS } from "./licences.ts";
import { type Lockfile, type Source, sha512hex } from "./packages.ts";

/** `@scope/name` as a package URL: the scope's @ is encoded. */
function purl({ name, version }: Pick<Source, "name" | "version">): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

/** A name-based UUID, so that the same release has the same serial number. */
function serial(content: string): string {
  const bytes = new Bun.CryptoHasher("sha256").update(content).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `urn:uuid:${hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`;
}

/** What a runtime is linked from: without versions, which its project does not tell. */
const linked = (runtime: Source) =>
  RUNTIME_PARTS.slice(1).map(({ name, licences, from }) => ({
    type: "library",
    "bom-ref": `${purl(runtime)}#${name}`,
    name,
    licenses: licences.map((id) => ({ license: { name: id } })),
    externalReferences: [{ type: "vcs", url: from }],
  }));

/** `shipped` is what goes into the executables; `epoch` in seconds. */
export function cyclonedx(lock: Lockfile, shipped: Source[], epoch: number) {
  const here = new Map(shipped.map((source) => [source.name, purl(source)]));
  const self = `pkg:generic/${lock.name}@${lock.version}`;
  const own = lock.packages[""];
  const refs = (names: string[]) =>
    names.map((name) => here.get(name)).filter((ref): ref is string => ref !== undefined);
  const runtime = shipped.filter((s) => s.name.startsWith("@oven/")).map((s) => s.name);
  const components = shipped.map((source) => ({
    type: runtime.includes(source.name) ? "platform" : "library",
    "bom-ref": purl(source),
    name: source.name,
    version: source.version,
    hashes: [{ alg: "SHA-512", content: sha512hex(source.integrity) }],
    ...(source.license ? { licenses: [{ license: { id: source.license } }] } : {}),
    purl: purl(source),
    ...(runtime.includes(source.name) ? { components: linked(source) } : {}),
  }));
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: serial(JSON.stringify([self, epoch, components])),
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": self,
        name: lock.name,
        version: lock.version,
        licenses: [{ license: { id: OWN } }],
        purl: self,
      },
    },
    components,
    dependencies: [
      { ref: self, dependsOn: refs([...Object.keys(own?.dependencies ?? {}), ...runtime]) },
      ...shipped.map((source) => ({
        ref: purl(source),
        dependsOn: refs(Object.keys(source.dependencies ?? {})),
      })),
    ],
  };
}
