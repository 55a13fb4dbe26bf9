/**
 * What the second script of the page has from the first, by module: later.ts hands it over, src/make/console.ts leaves it out of the
 * second. What is named by the second and not here does not build.
 */
export const SHARED = {
  hooks: ["useEffect", "useRef", "useState"],
  "jsx-runtime": ["Fragment", "jsx", "jsxs"],
  arguments: ["argumentsOf"],
  catalogue: ["catalogue", "findSandbox", "findVerb", "loadCatalogue"],
  confirm: ["Confirm"],
  connection: ["base", "call", "generation", "listen", "reconnect", "succeeded", "token"],
  field: ["Field"],
  json: [
    "inOneLine",
    "isObject",
    "listOf",
    "numberOf",
    "objectOf",
    "parseJson",
    "textOf",
    "textsOf",
  ],
  later: ["offer"],
  outcome: ["duration", "outcomeOf"],
  route: ["fleetLink", "go", "sandboxLink", "taskLink", "tryLink", "verbLink"],
  score: ["Score"],
  secrets: ["hideSecrets"],
  starts: ["isStarted", "putAside", "startTask", "takeStream"],
  "state-chip": ["StateChip"],
  storage: ["keep"],
  stream: ["EventStream", "openStream"],
  "task-list": ["Elapsed", "TaskList"],
  "task-record": ["readRecord", "readRecords"],
  time: ["momentOf", "timeOf"],
  text: ["language", "more", "t", "told"],
} as const;
