/** Mistakes in TypeScript, found in its syntax: each parses, but may be one that the type check refuses. */
import ts from "typescript";
import { linesAt, type Mistake } from "./mistake.ts";

const OPERATORS: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [ts.SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, "==="],
  [ts.SyntaxKind.LessThanToken, "<="],
  [ts.SyntaxKind.LessThanEqualsToken, "<"],
  [ts.SyntaxKind.GreaterThanToken, ">="],
  [ts.SyntaxKind.GreaterThanEqualsToken, ">"],
  [ts.SyntaxKind.AmpersandAmpersandToken, "||"],
  [ts.SyntaxKind.BarBarToken, "&&"],
  [ts.SyntaxKind.AmpersandToken, "|"],
  [ts.SyntaxKind.BarToken, "&"],
  [ts.SyntaxKind.MinusToken, "+"],
  [ts.SyntaxKind.AsteriskToken, "/"],
  [ts.SyntaxKind.LessThanLessThanToken, ">>"],
]);

/** Of a chain of calls, those that can be left out, and those that have an opposite. */
const LEFT_OUT = ["filter", "toSorted", "sort", "toReversed", "slice", "trim"];
const OPPOSITE: Readonly<Record<string, string>> = {
  some: "every",
  every: "some",
  startsWith: "endsWith",
  endsWith: "startsWith",
  min: "max",
  max: "min",
  problem: "notice",
};
/** Who says what is wrong: the first or second argument is the text. */
const SAYS = ["problem", "notice"];

const isText = (node: ts.Node): node is ts.LiteralExpression | ts.TemplateExpression =>
  ts.isStringLiteral(node) ||
  ts.isTemplateExpression(node) ||
  ts.isNoSubstitutionTemplateLiteral(node);

/** A guard: what leaves, or goes on, at a condition. */
function leaves(statement: ts.Statement): boolean {
  const [only, ...rest] = ts.isBlock(statement) ? statement.statements : [statement];
  if (!only || rest.length > 0) return false;
  return (
    ts.isReturnStatement(only) ||
    ts.isThrowStatement(only) ||
    ts.isContinueStatement(only) ||
    ts.isBreakStatement(only)
  );
}

/** As durations are told of here. */
const DURATION = /(?:^\/\*\* (?:Milliseconds|ms)|, ms)\b/;

/** Whether it is all of a constant that its comment, or that of the constants right before it, says is a duration. */
function isDuration(node: ts.NumericLiteral, source: ts.SourceFile): boolean {
  const statement = node.parent.parent?.parent;
  if (!ts.isVariableDeclaration(node.parent) || !ts.isVariableStatement(statement)) return false;
  const { statements } = source;
  for (let at = statements.indexOf(statement); at >= 0; at--) {
    const one = statements[at];
    if (!one || !ts.isVariableStatement(one)) return false;
    const before = source.text.slice(one.getFullStart(), one.getStart(source));
    if (before.includes("/*")) return DURATION.test(before.trimStart());
    if (before.trim() !== "" || before.includes("\n\n")) return false;
  }
  return false;
}

/** Whether it is an answer of a comparison, of which its sign alone counts. */
function isOrder(node: ts.NumericLiteral): boolean {
  const answer = ts.isPrefixUnaryExpression(node.parent) ? node.parent : node;
  const choice = answer.parent;
  return (
    node.text === "1" &&
    ts.isConditionalExpression(choice) &&
    choice.condition !== answer &&
    [choice.whenTrue.getText(), choice.whenFalse.getText()].toSorted().join() === "-1,1"
  );
}

/** Milliseconds are shifted by one, as numbers are, which nobody could tell. */
const isAsGood = (node: ts.NumericLiteral, source: ts.SourceFile): boolean =>
  isDuration(node, source) || isOrder(node);

export function mistakesInTypeScript(file: string, text: string): Mistake[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Mistake[] = [];
  const add = (rule: string, start: number, end: number, replacement: string) =>
    void found.push({ file, ...linesAt(text, start, end), start, end, replacement, rule });
  const replace = (rule: string, node: ts.Node, replacement: string) =>
    add(rule, node.getStart(source), node.getEnd(), replacement);
  const drop = (rule: string, node: ts.Node) => replace(rule, node, "");
  const turn = (condition: ts.Expression) => {
    if (ts.isPrefixUnaryExpression(condition)) return; // has a rule of its own
    replace("condition turned", condition, `!(${condition.getText(source)})`);
  };

  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node))
      return;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isIfStatement(node)) {
      turn(node.expression);
      if (!node.elseStatement && leaves(node.thenStatement)) drop("guard dropped", node);
    } else if (ts.isConditionalExpression(node) || ts.isWhileStatement(node)) {
      turn(ts.isConditionalExpression(node) ? node.condition : node.expression);
    } else if (ts.isBinaryExpression(node)) {
      binary(node);
    } else if (
      ts.isPrefixUnaryExpression(node) &&
      node.operator === ts.SyntaxKind.ExclamationToken
    ) {
      replace("condition turned", node, node.operand.getText(source));
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) {
      if (!isConstAssertion(node)) replace("boolean", node, "false");
    } else if (node.kind === ts.SyntaxKind.FalseKeyword) {
      if (!isConstAssertion(node)) replace("boolean", node, "true");
    } else if (ts.isNumericLiteral(node)) {
      if (!isAsGood(node, source))
        replace("constant shifted", node, `(${node.getText(source)} + 1)`);
    } else if (ts.isBigIntLiteral(node)) {
      replace("constant shifted", node, `(${node.getText(source)} + 1n)`);
    } else if (ts.isExpressionStatement(node)) {
      const isSuper =
        ts.isCallExpression(node.expression) &&
        node.expression.expression.kind === ts.SyntaxKind.SuperKeyword;
      if (!isSuper && !ts.isStringLiteral(node.expression)) drop("statement dropped", node);
    } else if (ts.isCallExpression(node)) {
      call(node);
    } else if (ts.isNewExpression(node)) {
      const [message] = node.arguments ?? [];
      if (/Error$/.test(node.expression.getText(source)) && message && isText(message))
        replace("text emptied", message, '""');
    } else if (ts.isArrayLiteralExpression(node)) {
      elements(node);
    } else if (ts.isSpreadAssignment(node)) {
      drop("property dropped", node);
    } else if (ts.isCatchClause(node) && node.block.statements.length > 0) {
      replace("error ignored", node.block, "{}");
    }
    ts.forEachChild(node, visit);
  };

  const binary = ({ left, operatorToken, right }: ts.BinaryExpression) => {
    const { kind } = operatorToken;
    const texts = [left, right].some(isText);
    if (kind === ts.SyntaxKind.QuestionQuestionToken)
      add("default dropped", left.getEnd(), right.getEnd(), "");
    else if (kind === ts.SyntaxKind.PlusToken && !texts) replace("operator", operatorToken, "-");
    const other = OPERATORS.get(kind);
    if (other !== undefined) replace("operator", operatorToken, other);
  };

  const call = (node: ts.CallExpression) => {
    const { expression: callee, arguments: args } = node;
    if (!ts.isPropertyAccessExpression(callee)) return;
    const { name } = callee;
    if (LEFT_OUT.includes(name.text))
      add("call left out", callee.expression.getEnd(), node.getEnd(), "");
    const opposite = OPPOSITE[name.text];
    if (opposite !== undefined && Object.hasOwn(OPPOSITE, name.text))
      replace("call exchanged", name, opposite);
    if (SAYS.includes(name.text))
      for (const arg of args.slice(-1)) if (isText(arg)) replace("text emptied", arg, '""');
  };

  const elements = (node: ts.ArrayLiteralExpression) => {
    const { elements } = node;
    // Of `[a, b] = …` each has its place.
    const isTarget = ts.isBinaryExpression(node.parent) && node.parent.left === node;
    if (elements.length < 2 || isTarget) return;
    elements.forEach((element, i) => {
      const next = elements[i + 1];
      const before = elements[i - 1];
      if (next) add("element dropped", element.getStart(source), next.getStart(source), "");
      else if (before) add("element dropped", before.getEnd(), element.getEnd(), "");
    });
  };

  visit(source);
  return found;
}

/** `as const` of a literal, or a default of a type. */
const isConstAssertion = (node: ts.Node): boolean => ts.isLiteralTypeNode(node.parent);
