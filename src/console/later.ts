/**
 * The second script of the page. It is fetched when it is first needed, put into the page as it is, and runs because the policy of the
 * page has its hash: nothing else would. What both have in common it has from the first, by {@link shared}.
 */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Fragment, jsx, jsxs } from "preact/jsx-runtime";
import { argumentsOf } from "./arguments.ts";
import { catalogue, findSandbox, findVerb, loadCatalogue } from "./catalogue.ts";
import { Confirm } from "./confirm.tsx";
import { base, call, generation, listen, reconnect, succeeded, token } from "./connection.ts";
import { Field } from "./field.tsx";
import {
  inOneLine,
  isObject,
  listOf,
  numberOf,
  objectOf,
  parseJson,
  textOf,
  textsOf,
} from "./json.ts";
import { duration, outcomeOf } from "./outcome.ts";
import { fleetLink, go, sandboxLink, taskLink, tryLink, verbLink } from "./route.ts";
import { Score } from "./score.tsx";
import { hideSecrets } from "./secrets.ts";
import type { SHARED } from "./shared-names.ts";
import type { ShellLinesProps } from "./shell-lines.tsx";
import { signal } from "./signal.ts";
import { isStarted, putAside, startTask, takeStream } from "./starts.ts";
import { StateChip } from "./state-chip.tsx";
import { keep, recall } from "./storage.ts";
import { EventStream, openStream } from "./stream.ts";
import { Elapsed, TaskList } from "./task-list.tsx";
import { momentOf, timeOf } from "./time.ts";
import { readRecord, readRecords } from "./task-record.ts";
import { language, loadWords, more, t, told } from "./text.ts";

export interface Views {
  readonly Activity: () => VNode;
  readonly FleetView: (props: { to: string | undefined }) => VNode;
  readonly SandboxView: (props: { api: string; uid: string }) => VNode;
  readonly ServerView: () => VNode;
  readonly TaskView: (props: { id: string }) => VNode;
  readonly TryView: (props: { api: string | undefined }) => VNode;
  readonly ShellLines: (props: ShellLinesProps) => VNode;
}

/** undefined before they are there. */
export const views = signal<Views | undefined>(undefined);

/** @param style theirs. As an object, it needs no leave of the policy of the page, nor a place in it */
export function offer(loaded: Views, style: string): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  document.adoptedStyleSheets.push(sheet);
  views.value = loaded;
}

const shared = {
  hooks: { useEffect, useRef, useState },
  "jsx-runtime": { Fragment, jsx, jsxs },
  arguments: { argumentsOf },
  catalogue: { catalogue, findSandbox, findVerb, loadCatalogue },
  confirm: { Confirm },
  connection: { base, call, generation, listen, reconnect, succeeded, token },
  field: { Field },
  json: { inOneLine, isObject, listOf, numberOf, objectOf, parseJson, textOf, textsOf },
  ...{ later: { offer }, outcome: { duration, outcomeOf } },
  route: { fleetLink, go, sandboxLink, taskLink, tryLink, verbLink },
  ...{ score: { Score }, secrets: { hideSecrets }, "state-chip": { StateChip } },
  ...{ storage: { keep }, text: { language, more, t, told } },
  starts: { isStarted, putAside, startTask, takeStream },
  stream: { EventStream, openStream },
  "task-list": { Elapsed, TaskList },
  time: { momentOf, timeOf },
  "task-record": { readRecord, readRecords },
} satisfies { [Name in keyof typeof SHARED]: Record<(typeof SHARED)[Name][number], unknown> };

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
  const [response] = await Promise.all([fetch(`${base}console/more.js`), loadWords()]);
  if (!response.ok) throw new Error(`more.js: ${response.status}`);
  const script = document.createElement("script");
  script.textContent = await response.text();
  document.head.append(script);
  // The policy of this page did not let it run: the server has become another. Its page is read, but not again and again.
  const isStale = views.value === undefined && recall("session", "renewed") === undefined;
  keep("session", "renewed", isStale ? "yes" : undefined);
  if (isStale) location.reload();
}
