/** `api://name#verb` and `plugin://uid#function`. */
import type { ActionTarget } from "../plan/plan.ts";

const REFERENCE = /^(\w+):\/\/([^#]+)#(.+)$/;

/** @throws Error that says what is possible */
export function parseReference(text: string): ActionTarget {
  const [, scheme = "", owner = "", name = ""] = REFERENCE.exec(text) ?? [];
  switch (scheme.toLowerCase()) {
    case "api":
      return { kind: "api", api: owner, verb: name };
    case "plugin":
      return { kind: "plugin", plugin: owner, name };
    default:
      throw new Error(
        `\`${text.slice(0, 80)}\`: expected api://NAME#VERB or plugin://UID#FUNCTION`,
      );
  }
}
