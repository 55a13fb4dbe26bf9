/**
 * The second script of the page. It is fetched when it is first needed, put into the page as it is, and runs because the policy of the
 * page has its hash: nothing else would. What both have in common it has from the first, by {@link shared}.
 */
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Fragment, jsx, jsxs } from "preact/jsx-runtime";
import { plainOf } from "./ansi.ts";
import * as catalogue from "./catalogue.ts";
import * as connection from "./connection.ts";
import { Copy } from "./copy.tsx";
import * as json from "./json.ts";
import { duration, outcomeOf } from "./outcome.ts";
import { sandboxLink, tryLink, verbLink } from "./route.ts";
import { Score } from "./score.tsx";
import type { SHARED_NAMES } from "./shared-names.ts";
import type { ShellLinesProps } from "./shell-lines.tsx";
import { signal } from "./signal.ts";
import { keep } from "./storage.ts";
import { TaskList } from "./task-list.tsx";
import { readRecord, readRecords } from "./task-record.ts";
import { loadWords, t } from "./text.ts";

export interface Views {
  readonly Activity: () => VNode;
  readonly Denied: (props: { status: json.Json }) => VNode | null;
  readonly SandboxView: (props: { api: string; uid: string }) => VNode;
  readonly ServerView: () => VNode;
  readonly TryView: (props: { api: string | undefined }) => VNode;
  readonly ShellLines: (props: ShellLinesProps) => VNode;
  readonly Values: (props: { values: readonly unknown[] }) => VNode | null;
}

/** undefined before they are there. */
export const views = signal<Views | undefined>(undefined);

export function offer(loaded: Views): void {
  views.value = loaded;
}

/** By the last part of their path, see src/make/console.ts: as much of each as the second script takes. */
const shared = {
  hooks: { useEffect, useState },
  "jsx-runtime": { Fragment, jsx, jsxs },
  ...{ ansi: { plainOf }, catalogue, connection, copy: { Copy }, json },
  ...{ outcome: { duration, outcomeOf }, route: { sandboxLink, tryLink, verbLink } },
  ...{ score: { Score }, storage: { keep }, text: { t }, later: { offer } },
  "task-list": { TaskList },
  "task-record": { readRecord, readRecords },
} satisfies Record<(typeof SHARED_NAMES)[number], object>;

declare global {
  var spawnbox: typeof shared;
}

let asked: Promise<void> | undefined;

/** Once; again where it did not come. */
export function loadViews(): void {
  globalThis.spawnbox = shared;
  asked ??= load().catch(() => {
    asked = undefined;
  });
}

async function load(): Promise<void> {
  const [response] = await Promise.all([fetch(`${connection.base}console/more.js`), loadWords()]);
  if (!response.ok) throw new Error(`more.js: ${response.status}`);
  const script = document.createElement("script");
  script.textContent = await response.text();
  document.head.append(script);
}
