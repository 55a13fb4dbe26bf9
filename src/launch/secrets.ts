/**
 * Secrets, read at the launch with the rights of the server: systemd credentials, or files that only root and the server's user
 * can change. Nothing of their content is in a message.
 */
import { readObeyed } from "../config/obeyed.ts";
import { element } from "../config/place.ts";
import type { Problem } from "../config/problem.ts";
import { trustOf } from "../config/trust.ts";
import { parseEnvFile } from "../plan/env-file.ts";
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import { filledArgument } from "../plan/secrets.ts";
import { LaunchError } from "./task.ts";

/** Bytes: what one variable or argument can be (execve(2), MAX_ARG_STRLEN), with its name. */
const MOST = 64 << 10;

/** What a launch has besides its plan. */
export interface Supplied {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** @throws LaunchError naming the file that cannot be read, and who needs it */
export function supply(plan: Plan, argv: readonly string[]): Supplied {
  const filled = plan.argv.files
    ? argv.map((one) => filledArgument(one, (file) => readSecret("an argument", file)))
    : argv;
  return { argv: filled, env: environmentOf(plan) };
}

/** Equal as long as the files of the variables hold the same. @throws LaunchError as {@link supply} */
export function environmentOf({ env, secrets }: Plan): Readonly<Record<string, string>> {
  if (!secrets) return env;
  const all = { ...env };
  for (const { path, optional } of secrets.files) {
    const text = contentOf("envfile", path, optional);
    if (text === undefined) continue;
    for (const [name, value] of variables(path, text))
      if (!secrets.kept.includes(name)) all[name] = value;
  }
  for (const [name, file] of Object.entries(secrets.env)) all[name] = readSecret(name, file);
  return all;
}

function variables(path: string, text: string): ReadonlyMap<string, string> {
  try {
    return parseEnvFile(text);
  } catch (error) {
    throw refused("envfile", path, error instanceof Error ? error.message : String(error));
  }
}

/** Most files of secrets end in a newline that an editor or echo has put there. @throws LaunchError */
export const readSecret = (what: string, file: string): string =>
  (contentOf(what, file, false) ?? "").replace(/\n$/, "");

/** What requests are to be signed with. @throws LaunchError as {@link readSecret}, and where it is empty */
export function webhookSecret(file: string): string {
  const secret = readSecret("webhook", file);
  if (secret === "") throw refused("webhook", file, "it is empty: anybody could sign with that");
  return secret;
}

function contentOf(what: string, file: string, optional: boolean): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readObeyed(file, trustOf(process.geteuid?.() ?? 0), MOST);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (optional && /^ENOENT\b/.test(why)) return undefined;
    throw refused(what, file, why);
  }
  if (bytes.includes(0)) throw refused(what, file, "it contains a NUL byte");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw refused(what, file, "it is not UTF-8");
  }
}

const refused = (what: string, file: string, why: string): LaunchError =>
  new LaunchError("secret", file, "", `${what} is to be read there: ${why}`);

/** Files that a launch would miss now: it is refused until they are there. */
export function secretNotices(apis: readonly ApiPlan[]): Problem[] {
  return apis.flatMap((api) =>
    api.sandboxes.flatMap((sandbox, i) => {
      const missing = new Set(launchable(sandbox).flatMap(missingOf));
      return [...missing].map((message) => ({
        ...{ file: api.file, path: element("sandboxes", i) },
        message: `${message}: what needs it is refused until then`,
      }));
    }),
  );
}

function missingOf(plan: Plan): string[] {
  const { files = [], env = {} } = plan.secrets ?? {};
  // Each by itself, so that all are told at once.
  const attempts = [
    ...files.map(({ path, optional }) => () => {
      const text = contentOf("envfile", path, optional);
      if (text !== undefined) variables(path, text);
    }),
    ...Object.entries(env).map(
      ([name, file]) =>
        () =>
          readSecret(name, file),
    ),
    ...(plan.webhook ? [plan.webhook.file] : []).map((file) => () => webhookSecret(file)),
    ...(plan.argv.files ?? []).map((file) => () => readSecret("an argument", file)),
  ];
  return attempts.flatMap((attempt) => {
    try {
      attempt();
      return [];
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      return [error.message];
    }
  });
}
