/** What the browser keeps for this page: nothing where it does not let it, as in some private windows. */

export function recall(store: "local" | "session", key: string): string | undefined {
  // As old browsers can read it, see first.ts.
  const kept = attempt(() => area(store).getItem(`spawnbox:${key}`));
  return kept === null ? undefined : kept;
}

export function keep(store: "local" | "session", key: string, value: string | undefined): void {
  attempt(() => {
    if (value === undefined) area(store).removeItem(`spawnbox:${key}`);
    else area(store).setItem(`spawnbox:${key}`, value);
  });
}

const area = (store: "local" | "session"): Storage =>
  store === "local" ? localStorage : sessionStorage;

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    // SecurityError where storage is off, QuotaExceededError where it is full: the page works without.
    if (error instanceof DOMException) return undefined;
    throw error;
  }
}
