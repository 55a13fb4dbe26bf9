/** The modules that the second script of the page has from the first: later.ts hands them over, src/make/console.ts leaves them out. */
export const SHARED_NAMES = [
  "hooks",
  "jsx-runtime",
  "ansi",
  "catalogue",
  "connection",
  "copy",
  "json",
  "later",
  "outcome",
  "route",
  "score",
  "storage",
  "task-list",
  "task-record",
  "text",
] as const;
