// Finds, with the TypeScript compiler, every public function and method that takes bytes, text or a store, and every one
// that the fuzzer's targets call.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { programOf } from '../type-check.ts'

const src = join(import.meta.dirname, '../../src')
const typescriptIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))

/** The entries of the package, other than those for tests of stores and those without functions. */
const entries = [
  ...typescriptIn(src),
  ...['contract', 'folder', 'http', 'indexeddb', 'postgres', 's3'].map((name) => join(src, 'stores', `${name}.ts`)),
]
const targetFiles = typescriptIn(import.meta.dirname).filter((name) => name.endsWith('-targets.ts'))

/** How deep the properties of an argument are searched for bytes or text. */
const DEPTH = 3

export interface PublicReaders {
  /** The functions (`parseCard`) and methods (`Keyset.open`) that take bytes, text or a store. */
  readonly readers: ReadonlySet<string>
  /** Those that the `reads` of a target call. */
  readonly called: ReadonlySet<string>
}

export function publicReaders(): PublicReaders {
  const program = programOf([...entries, ...targetFiles])
  const checker = program.getTypeChecker()
  const names: Map<ts.Node, string> = new Map()
  for (const entry of entries) for (const symbol of exportsOf(program, entry)) collect(checker, symbol, names)
  const called: Set<string> = new Set()
  for (const file of targetFiles) {
    for (const node of calledIn(checker, sourceOf(program, file))) {
      const name = names.get(node)
      if (name !== undefined) called.add(name)
    }
  }
  return { readers: new Set(names.values()), called }
}

function sourceOf(program: ts.Program, file: string): ts.SourceFile {
  const source = program.getSourceFile(file)
  if (source === undefined) throw new Error(`${file} is not a file of the program`)
  return source
}

function exportsOf(program: ts.Program, file: string): ts.Symbol[] {
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(sourceOf(program, file))
  if (module === undefined) throw new Error(`${file} is not a module`)
  return checker
    .getExportsOfModule(module)
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
}

/** Adds the declarations of a function, or of the methods of a type, if they take bytes, text or a store. */
function collect(checker: ts.TypeChecker, symbol: ts.Symbol, names: Map<ts.Node, string>): void {
  const add = (each: ts.Symbol, name: string) => {
    for (const declaration of each.declarations ?? []) {
      const type = checker.getTypeOfSymbolAtLocation(each, declaration)
      if (type.getCallSignatures().some((signature) => takesInput(checker, signature))) names.set(declaration, name)
    }
  }
  if (symbol.flags & ts.SymbolFlags.Function) add(symbol, symbol.name)
  if (symbol.flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.Class)) {
    const type = checker.getDeclaredTypeOfSymbol(symbol)
    for (const method of type.getProperties()) {
      const parent = (method.declarations?.[0]?.parent as Partial<ts.NamedDeclaration> | undefined)?.name
      add(method, `${parent === undefined ? symbol.name : parent.getText()}.${method.name}`)
    }
  }
  if (symbol.flags & ts.SymbolFlags.Class) {
    const statics = checker.getTypeOfSymbol(symbol)
    for (const method of statics.getProperties())
      if (method.declarations?.some(ts.isMethodDeclaration) === true) add(method, `${symbol.name}.${method.name}`)
  }
}

const takesInput = (checker: ts.TypeChecker, signature: ts.Signature): boolean =>
  signature.parameters.some((parameter) => isInput(checker, checker.getTypeOfSymbol(parameter), DEPTH))

/** Whether a value of this type is, or has in it, bytes, a text that is no list of choices, or something to call. */
function isInput(checker: ts.TypeChecker, type: ts.Type, depth: number): boolean {
  if (type.isUnionOrIntersection()) return type.types.some((each) => isInput(checker, each, depth))
  if (type.flags & (ts.TypeFlags.String | ts.TypeFlags.Unknown)) return true
  if (!(type.flags & ts.TypeFlags.Object)) return false
  const { name } = type.symbol
  if (name === 'Uint8Array' || /Store$|^Request$|^(?:Shared)?Blocks$/.test(name)) return true
  if (depth === 0 || /^(?:AbortSignal|Date|Function)$/.test(name)) return false
  if (checker.getTypeArguments(type as ts.TypeReference).some((each) => isInput(checker, each, depth - 1))) return true
  return type
    .getProperties()
    .map((property) => checker.getTypeOfSymbol(property))
    .some((each) => each.getCallSignatures().length === 0 && isInput(checker, each, depth - 1))
}

/** Returns the declarations of what the `reads` of a file call, also through functions of the tests. */
function calledIn(checker: ts.TypeChecker, source: ts.SourceFile): Set<ts.Node> {
  const found: Set<ts.Node> = new Set()
  const seen: Set<ts.Node> = new Set()
  const inside = (node: ts.Node): void => {
    if (seen.has(node)) return
    seen.add(node)
    if (ts.isCallExpression(node)) {
      const declaration = checker.getResolvedSignature(node)?.declaration
      if (declaration !== undefined) found.add(declaration)
    }
    if (ts.isIdentifier(node)) for (const body of bodiesOf(checker, node)) inside(body)
    ts.forEachChild(node, inside)
  }
  const visit = (node: ts.Node): void => {
    const isReads = ts.isPropertyAssignment(node) || ts.isShorthandPropertyAssignment(node)
    if (isReads && node.name.getText() === 'reads') inside(node)
    // A target that a function makes: the function has its `reads`, and its arguments may have more.
    else if (ts.isCallExpression(node) && /targets?$/i.test(node.expression.getText())) inside(node)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Returns the bodies of the functions of the tests that a name stands for. */
function bodiesOf(checker: ts.TypeChecker, identifier: ts.Identifier): ts.Node[] {
  const symbol = checker.getSymbolAtLocation(identifier)
  if (symbol === undefined) return []
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  return (target.declarations ?? []).filter((declaration) => {
    if (!declaration.getSourceFile().fileName.includes('/test/')) return false
    if (ts.isFunctionDeclaration(declaration)) return true
    return ts.isVariableDeclaration(declaration) && isOfFunctions(declaration.initializer)
  })
}

/** Whether an expression is a function, or a list of them. */
function isOfFunctions(node: ts.Expression | undefined): boolean {
  if (node === undefined) return false
  if (ts.isArrayLiteralExpression(node)) return node.elements.every(isOfFunctions)
  return ts.isArrowFunction(node)
}
