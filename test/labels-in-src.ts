// Finds every label that the library passes to a primitive (SPEC, appendix B), by following the parameter of a function back
// to all of its callers, with the types of the compiler.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { programOf } from './type-check.ts'

const src = join(import.meta.dirname, '../src')
const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const program = programOf(paths.map((name) => join(src, name)))
const checker = program.getTypeChecker()
/** All calls in src/, by what they call. */
const callers: Map<ts.Node | undefined, ts.CallExpression[]> = new Map()
for (const name of paths) {
  for (const call of callsIn(program.getSourceFile(join(src, name))!)) {
    const called = ts.isIdentifier(call.expression) ? declarationOf(call.expression) : undefined
    callers.set(called, [...(callers.get(called) ?? []), call])
  }
}

function callsIn(node: ts.Node): ts.CallExpression[] {
  const within: ts.CallExpression[] = []
  const visit = (child: ts.Node): void => {
    if (ts.isCallExpression(child)) within.push(child)
    ts.forEachChild(child, visit)
  }
  visit(node)
  return within
}

function declarationOf(name: ts.Expression): ts.Node | undefined {
  const symbol = checker.getSymbolAtLocation(name)
  if (symbol === undefined) return undefined
  const original = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  return original.valueDeclaration
}

/** Returns the function that has this node as a declaration, as callers name it. */
const calledAs = (declared: ts.SignatureDeclaration): ts.Node =>
  ts.isArrowFunction(declared) && ts.isVariableDeclaration(declared.parent) ? declared.parent : declared

/** Returns all texts that an expression can have, or undefined if its type is not a union of literals. */
function textsOf(expression: ts.Expression): string[] | undefined {
  if (ts.isTemplateExpression(expression)) {
    return expression.templateSpans.reduce<string[] | undefined>(
      (before, { expression: inner, literal }) => {
        const texts = textsOf(inner)
        return texts && before?.flatMap((start) => texts.map((text) => start + text + literal.text))
      },
      [expression.head.text],
    )
  }
  const type = checker.getTypeAtLocation(expression)
  const each = type.isUnion() ? type.types : [type]
  return each.every((one) => one.isStringLiteral()) ? each.map((one) => one.value) : undefined
}

/**
 * Returns the labels that reach one parameter of a function, from every call in src/.
 * @throws Error if a label is computed in a way that this does not follow
 */
export function labelsOf(file: string, name: string, parameter: string): Set<string> {
  const labels: Set<string> = new Set()
  const followed: Set<ts.Node> = new Set()
  const follow = (declared: ts.SignatureDeclaration, index: number): void => {
    if (followed.has(declared)) return
    followed.add(declared)
    for (const call of callers.get(calledAs(declared)) ?? []) {
      const given = call.arguments[index]!
      const texts = textsOf(given)
      const source = texts === undefined ? declarationOf(given) : undefined
      if (texts !== undefined) for (const text of texts) labels.add(text)
      else if (source !== undefined && ts.isParameter(source))
        follow(source.parent, source.parent.parameters.indexOf(source))
      else throw new Error(`cannot tell which label this is: ${call.getText()}`)
    }
  }
  const start = program.getSourceFile(join(src, file))!.statements.find((statement) => {
    return ts.isFunctionDeclaration(statement) && statement.name?.text === name
  }) as ts.FunctionDeclaration
  follow(
    start,
    start.parameters.findIndex((each) => each.name.getText() === parameter),
  )
  return labels
}
