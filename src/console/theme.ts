/** Light or dark: as the system has it, unless it was switched here. */
import { onChange, signal } from "./signal.ts";
import { keep, recall } from "./storage.ts";

const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = recall("local", "theme");

export const dark = signal(chosen === undefined ? system.matches : chosen === "dark");

export function followTheme(): void {
  system.addEventListener("change", ({ matches }) => {
    if (recall("local", "theme") === undefined) dark.value = matches;
  });
  const show = (): void => {
    document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
  };
  onChange(show);
  show();
}

export function switchTheme(): void {
  dark.value = !dark.value;
  keep("local", "theme", dark.value ? "dark" : "light");
}
