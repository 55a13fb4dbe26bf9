/** The least that an executable of this runtime could need to serve. */
import { writeFileSync } from "node:fs";

const SOURCE = `const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("pong") });
console.log(server.url.href);
`;

/** With the flags of src/make/build.ts; writes `outfile` and, beside it, its source. */
export async function buildEmpty(outfile: string, arch: "x64" | "arm64"): Promise<void> {
  const source = `${outfile}.ts`;
  writeFileSync(source, SOURCE);
  const { success, logs } = await Bun.build({
    entrypoints: [source],
    minify: true,
    bytecode: true,
    format: "esm",
    compile: {
      target: `bun-linux-${arch}`,
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  if (!success) throw new AggregateError(logs, `${source} does not build`);
}
