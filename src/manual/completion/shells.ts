/** The shells that command lines can be completed by, and where packages put the files for them. */
import type { Command } from "../program.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { zshCompletion } from "./zsh.ts";

export interface Shell {
  readonly completion: (commands: readonly Command[]) => string;
  /** Below /usr/share. */
  readonly file: string;
}

export const SHELLS: Readonly<Record<"bash" | "zsh" | "fish", Shell>> = {
  bash: { completion: bashCompletion, file: "bash-completion/completions/spawnbox" },
  zsh: { completion: zshCompletion, file: "zsh/site-functions/_spawnbox" },
  fish: { completion: fishCompletion, file: "fish/vendor_completions.d/spawnbox.fish" },
};
