/** Where in the page one is: the part of the address behind `#`, so a link leads to one run on any server. */
import { signal } from "./signal.ts";

export type Route =
  | { readonly view: "verbs" | "activity" | "server" | "try" }
  | { readonly view: "try"; readonly api: string }
  | { readonly view: "verb"; readonly api: string; readonly verb: string }
  | { readonly view: "sandbox"; readonly api: string; readonly sandbox: string }
  | { readonly view: "task"; readonly id: string }
  | { readonly view: "fleet"; readonly to: string | undefined };

export const verbLink = (api: string, verb: string): string => link("v", api, verb);
export const sandboxLink = (api: string, sandbox: string): string => link("s", api, sandbox);
export const taskLink = (id: string): string => link("t", id);
/** @param to a board, or `@GROUP` */
export const fleetLink = (to: string): string => link("f", to);
export const tryLink = (api: string): string => link("try", api);

const link = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

export function parseRoute(hash: string): Route {
  const [kind = "", first = "", second = ""] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (kind === "v" && first !== "" && second !== "")
    return { view: "verb", api: first, verb: second };
  if (kind === "s" && first !== "" && second !== "")
    return { view: "sandbox", api: first, sandbox: second };
  if (kind === "t" && first !== "") return { view: "task", id: first };
  if (kind === "try") return first === "" ? { view: "try" } : { view: "try", api: first };
  if (kind === "f") return { view: "fleet", to: first || undefined };
  if (kind === "a") return { view: "activity" };
  return { view: kind === "server" ? "server" : "verbs" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

export const route = signal<Route>({ view: "verbs" });

export function followRoute(): void {
  const read = (): void => {
    route.value = parseRoute(location.hash);
    scrollTo(0, 0);
  };
  addEventListener("hashchange", read);
  read();
}

export function go(to: string): void {
  location.hash = to;
}
