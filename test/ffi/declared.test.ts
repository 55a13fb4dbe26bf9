/** Functions of C have in each call as many arguments as they are declared with: what is left over would be whatever a register has. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const root = join(import.meta.dir, "../../ffi");

const named = (node: ts.ObjectLiteralExpression, name: string): ts.Expression | undefined =>
  node.properties
    .filter(ts.isPropertyAssignment)
    .find((one) => one.name.getText().replaceAll('"', "") === name)?.initializer;

/** How many arguments each has that is declared there, and each call of them, with how many it passes. */
function functionsOf(text: string) {
  const source = ts.createSourceFile("a.ts", text, ts.ScriptTarget.Latest, true);
  const declared = new Map<string, number>();
  const calls: [name: string, count: number][] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isObjectLiteralExpression(node.initializer)) {
      const args = named(node.initializer, "args");
      if (args && ts.isArrayLiteralExpression(args) && named(node.initializer, "returns"))
        declared.set(node.name.getText(), args.elements.length);
    }
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const { expression, name } = node.expression;
      const isOf = /^(?:lib|libc|libcap|libseccomp|library)\b/.test(expression.getText());
      if (isOf && !node.arguments.some(ts.isSpreadElement))
        calls.push([name.text, node.arguments.length]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { declared, calls };
}

const files = [...new Bun.Glob("*.ts").scanSync({ cwd: root })]
  .map((file) => [file, readFileSync(join(root, file), "utf8")] as const)
  .filter(([, text]) => text.includes("args: ["))
  .toSorted();

test.each(files)("%s", (_, text) => {
  const { declared, calls } = functionsOf(text);
  const known = calls.filter(([name]) => declared.has(name));
  expect(known).toEqual(known.map(([name]) => [name, declared.get(name) ?? 0]));
  // All that is declared is called.
  const called = new Set(known.map(([name]) => name));
  expect([...declared.keys()].filter((name) => !called.has(name))).toEqual([]);
});
