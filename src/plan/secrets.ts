/** What a launch reads of files, so that it stands in no config: names of the files, never what is in them. */
import { isAbsolute } from "node:path";
import type { Env } from "../config/sandbox-schema.ts";

export interface Secrets {
  /** Variables by name, each with the file of its value. */
  readonly env: Readonly<Record<string, string>>;
  /** Files of many variables; a later one overrides an earlier. */
  readonly files: readonly EnvFile[];
  /** Variables that stay as the config has them, whatever is in those files. */
  readonly kept: readonly string[];
}

export interface EnvFile {
  readonly path: string;
  /** It may be missing. */
  readonly optional: boolean;
}

/** @param expand resolves $NAME in paths. @throws Error for what is no path */
export function compileSecrets(
  envs: readonly Env[],
  envfile: readonly string[],
  expand: (text: string) => string,
): Secrets | undefined {
  const env: Record<string, string> = {};
  const kept = new Set<string>();
  for (const { name, file, mode } of envs) {
    delete env[name];
    kept.delete(name);
    if (mode === "unset") kept.add(name);
    else if (file !== undefined) env[name] = pathIn(expand(file), name);
  }
  const files = envfile.map((text): EnvFile => {
    const optional = text.startsWith("-");
    return { path: pathIn(expand(optional ? text.slice(1) : text), "envfile"), optional };
  });
  if (files.length === 0 && Object.keys(env).length === 0) return undefined;
  return { env, files, kept: [...kept] };
}

export function pathIn(path: string, what: string): string {
  if (path.includes("\0")) throw new Error(`${what}: a path cannot contain a NUL byte`);
  if (isAbsolute(path)) return path;
  throw new Error(`${what}: expected an absolute path, found \`${path}\``);
}

/** Between two of these, which no argument can have, is the path of a file whose content belongs there. */
const MARK = "\0";

/** Stands in a command line for what a file holds, until the launch. */
export const placeholder = (file: string): string => `${MARK}${file}${MARK}`;

const PLACEHOLDER = /\0([^\0]*)\0/g;

/** A command line as it may be shown: what is read of a file is its path in angle brackets. */
export const shownArgument = (argument: string): string => argument.replace(PLACEHOLDER, "<$1>");

/** With what `read` gives for the path of each file. */
export const filledArgument = (argument: string, read: (file: string) => string): string =>
  argument.replace(PLACEHOLDER, (_, file: string) => read(file));
