// Deletes the checks of the readers written from SPEC.md, one by one, and reports the deletions that no vector notices.
// Run `npm run vectors:deletions`. It writes no files.
//
// A check is a call of `check` or of another function whose result nobody uses, an operand of && or || in a condition, an
// `if` that throws or returns false, a bound in a comparison (one less and one more), and `authentic`, which gives every
// error inside the same name. An operand that only narrows a type for TypeScript, or asks which runtime this is, is not a
// check. The readers are changed once: every check asks whether it is the one that is deleted. The
// first run deletes none, and records for each check the vectors in which a deletion changes its result. Only these can
// notice the deletion, so only these run again.
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import ts from 'typescript'
import { equivalence } from './equivalent-deletions.ts'
import { largeVectors } from './large.ts'
import type { ReadVectors, secondReader, VectorFile } from './second-reader.ts'
import { readVectors } from './vectors.ts'

const TESTS = join(import.meta.dirname, '..')

interface Site {
  file: string
  line: number
  /** What is deleted. */
  text: string
  /** Where the check stands, for a check of which there are several. */
  within: string
}
const sites: Site[] = []

/** Methods that change something. A call of one is not a check, although nobody uses its result. */
const METHODS = ['push', 'set', 'sort', 'take', 'setAAD', 'setAuthTag', 'setAutoPadding', 'final', 'list']

/** Returns the text of a reader in which every check asks `deletions` (below) first. */
function changed(source: ts.SourceFile, types: ts.TypeChecker): string {
  const edits: { at: number; order: number; text: string }[] = []
  const textOf = (node: ts.Node) => node.getText(source).replaceAll(/\s+/g, ' ')

  function add(node: ts.Node, text = textOf(node)): number {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
    let within: ts.Node = node
    while (!ts.isStatement(within) && !ts.isPropertyDeclaration(within)) within = within.parent
    return sites.push({ file: basename(source.fileName), line, text, within: textOf(within).slice(0, 100) }) - 1
  }
  /** Puts text before and behind a node. Of several edits before one position, that of the outermost node comes first. */
  function wrap(node: ts.Node, before: string, behind: string): void {
    const [from, to] = [node.getStart(source), node.getEnd()]
    edits.push({ at: from, order: to, text: before }, { at: to, order: -from, text: behind })
  }
  const boolean = (node: ts.Expression) =>
    (types.getTypeAtLocation(node).flags & (ts.TypeFlags.Boolean | ts.TypeFlags.BooleanLiteral)) !== 0
  const number = (node: ts.Expression) =>
    (types.getTypeAtLocation(node).flags & (ts.TypeFlags.NumberLike | ts.TypeFlags.BigIntLike)) !== 0
  const withoutParentheses = (node: ts.Expression): ts.Expression =>
    ts.isParenthesizedExpression(node) ? withoutParentheses(node.expression) : node

  /** Whether a condition compares with undefined, or is one of typeof, instanceof and in. */
  const narrows = (node: ts.Expression) =>
    /^\S+ [!=]== undefined$|^typeof | in |instanceof /.test(node.getText(source).replace(/^!\((.*)\)$/, '$1'))
  /** A condition that a deletion makes true. Its operands are checks themselves. */
  function condition(node: ts.Expression, value: boolean): void {
    if (node.getText(source).includes('process.versions')) return
    wrap(node, `deletions.${value ? 'and' : 'or'}(${add(node)}, (`, '))')
  }
  function visit(node: ts.Node): void {
    if (ts.isForStatement(node)) {
      visit(node.statement) // a loop is not a check
      return
    }
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
      const [first] = node.arguments
      const { text } = node.expression
      if ((text === 'check' || text === 'accept') && first !== undefined) condition(first, true)
      if (text === 'authentic' && first !== undefined) {
        const open = node.expression.getEnd() + 1 - node.getStart(source)
        const from = node.getStart(source)
        edits.push({ at: from, order: node.getEnd(), text: `deletions.named(${add(node)}, ` })
        edits.push({ at: from + open, order: Infinity, text: '' })
      }
    }
    if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression)) {
      const { expression } = node
      const callee = expression.expression
      const name = ts.isPropertyAccessExpression(callee) ? callee.name.text : callee.getText(source)
      if (name !== 'check' && name !== 'accept' && !METHODS.includes(name))
        wrap(expression, `deletions.call(${add(expression)}, () => `, ')')
    }
    if (ts.isArrowFunction(node) && ts.isCallExpression(node.body) && textOf(node.body).startsWith('same('))
      wrap(node.body, `deletions.call(${add(node.body)}, () => `, ')')
    if (ts.isIfStatement(node) && (throws(node.thenStatement) || returnsFalse(node.thenStatement)))
      condition(node.expression, false)
    if (ts.isBinaryExpression(node)) {
      const { left, right, operatorToken } = node
      const operator = operatorToken.getText(source)
      if ((operator === '&&' || operator === '||') && boolean(left) && boolean(right)) {
        for (const operand of [left, right]) {
          const inner = withoutParentheses(operand)
          // a && b && c is (a && b) && c: a and b are operands of their own.
          const isSame = ts.isBinaryExpression(inner) && inner.operatorToken.getText(source) === operator
          if (!isSame && !narrows(inner)) condition(operand, operator === '&&')
        }
      }
      if (['<', '<=', '>', '>='].includes(operator) && number(left) && number(right)) {
        const ids = ['one less', 'one more'].map((bound) => add(node, `${textOf(node)} (${bound})`))
        wrap(node, `deletions.compare(${ids.join(', ')}, '${operator}', `, ')')
        edits.push({ at: operatorToken.getStart(source), order: 0, text: ',' })
        edits.push({ at: operatorToken.getEnd(), order: -1, text: `/*${operator}*/` })
        removed.push([operatorToken.getStart(source), operatorToken.getEnd()])
      }
    }
    ts.forEachChild(node, visit)
  }
  const removed: [number, number][] = []
  visit(source)
  // `authentic(f)` becomes `deletions.named(id, authentic, f)`.
  for (const edit of edits.filter(({ order }) => order === Infinity)) {
    const at = edit.at - 1
    removed.push([at, at + 1])
    edit.text = ', '
  }

  // From the end of the file on. At one position, what closes an inner node comes before what closes an outer one, and
  // both before what opens the next one.
  edits.sort((a, b) => a.at - b.at || rank(a) - rank(b))
  let text = ''
  let at = 0
  const cuts = removed.sort(([a], [b]) => a - b)
  const copy = (to: number) => {
    while (at < to) {
      const cut = cuts.find(([from, end]) => from <= at && at < end)
      if (cut) at = Math.min(to, cut[1])
      else {
        const next = cuts.find(([from]) => from > at)?.[0] ?? to
        text += source.text.slice(at, Math.min(next, to))
        at = Math.min(next, to)
      }
    }
  }
  for (const edit of edits) {
    copy(edit.at)
    text += edit.text
  }
  copy(source.text.length)
  return text
}
/** Closing edits have an order of at most 0: the innermost, which begins last, first. Of opening ones the outermost is first. */
const rank = ({ order }: { order: number }): number => (order <= 0 ? order - 1e9 : 1e9 - order)

const throws = (node: ts.Statement): boolean =>
  ts.isThrowStatement(node) || (ts.isBlock(node) && node.statements.length === 1 && throws(node.statements[0]!))
const returnsFalse = (node: ts.Statement): boolean =>
  ts.isReturnStatement(node) && node.expression?.kind === ts.SyntaxKind.FalseKeyword

/** The check that is deleted; none in the first run. */
let deleted = -1
/** The checks whose deletion changes something in the vector that is read. */
let touched: Set<number> = new Set()

type Bound = number | bigint
const plus = (x: Bound, more: number): Bound => (typeof x === 'bigint' ? x + BigInt(more) : x + more)
const holds = { '<': (a: Bound, b: Bound) => a < b, '<=': (a: Bound, b: Bound) => a <= b } as const
Object.assign(globalThis, {
  deletions: {
    and(id: number, value: unknown) {
      if (!value) touched.add(id)
      return deleted === id ? true : value
    },
    or(id: number, value: unknown) {
      if (value) touched.add(id)
      return deleted === id ? false : value
    },
    call(id: number, body: () => unknown) {
      try {
        return body()
      } catch (error) {
        touched.add(id)
        if (deleted === id) return undefined
        throw error
      }
    },
    named(id: number, _authentic: unknown, body: () => unknown) {
      try {
        return body()
      } catch (error) {
        if ((error as Error).message !== 'authentication-failed') touched.add(id)
        if (deleted === id) throw error
        throw new Error('authentication-failed', { cause: error })
      }
    },
    compare(less: number, more: number, operator: '<' | '<=' | '>' | '>=', a: Bound, b: Bound) {
      const turned = operator.startsWith('>')
      const compare = holds[operator.replace('>', '<') as '<' | '<=']
      const is = (bound: Bound) => (turned ? compare(bound, a) : compare(a, bound))
      const result = is(b)
      const others = [is(plus(b, -1)), is(plus(b, 1))]
      if (others[0] !== result) touched.add(less)
      if (others[1] !== result) touched.add(more)
      return deleted === less ? others[0] : deleted === more ? others[1] : result
    },
  },
})

/** Argon2id that remembers its results, and does not run at costs that a reader has to refuse. */
const ARGON2 = `
  import { argon2id as compute } from '@noble/hashes/argon2.js'
  const known = new Map()
  export function argon2id(password, salt, options) {
    if (options.m > 65536 || options.t * options.m > 262144) throw new Error('too expensive')
    const key = [Buffer.from(password).toString('hex'), Buffer.from(salt).toString('hex'), JSON.stringify(options)].join()
    if (!known.has(key)) known.set(key, compute(password, salt, options))
    return new Uint8Array(known.get(key))
  }`
/** ML-KEM that remembers the key pairs of its seeds. */
const ML_KEM = `
  import { ml_kem1024 as real } from '@noble/post-quantum/ml-kem.js?'
  const known = new Map()
  export const ml_kem1024 = {
    ...real,
    keygen(seed) {
      const key = Buffer.from(seed).toString('hex')
      if (!known.has(key)) known.set(key, real.keygen(seed))
      return known.get(key)
    },
  }`

/** Returns the second reader with its checks changed. */
async function changedReader(): Promise<typeof secondReader> {
  const names = ts.sys.readDirectory(TESTS, ['.ts'], undefined, ['spec-reader*.ts'], 1)
  const read = ts.readConfigFile(join(TESTS, '../tsconfig.json'), (path) => readFileSync(path, 'utf8'))
  const { compilerOptions } = read.config as { compilerOptions: object }
  const { options } = ts.convertCompilerOptionsFromJson(compilerOptions, join(TESTS, '..'))
  const program = ts.createProgram(names, options)
  const types = program.getTypeChecker()
  const texts = new Map(names.map((name) => [basename(name), changed(program.getSourceFile(name)!, types)]))
  const { outputFiles } = await build({
    entryPoints: [join(TESTS, 'vectors/second-reader.ts')],
    ...{ bundle: true, write: false, format: 'esm', platform: 'node', logLevel: 'error' },
    plugins: [
      {
        name: 'changed readers',
        setup(bundler) {
          bundler.onLoad({ filter: /\/spec-reader[^/]*\.ts$/ }, ({ path }) => {
            return { contents: texts.get(basename(path))!, loader: 'ts' }
          })
          bundler.onLoad({ filter: /\/remembered\.ts$/ }, () => ({ contents: ARGON2, resolveDir: TESTS }))
          bundler.onResolve({ filter: /^@noble\/post-quantum\/ml-kem\.js\?$/ }, () => {
            return bundler.resolve('@noble/post-quantum/ml-kem.js', {
              resolveDir: TESTS,
              kind: 'import-statement',
              pluginData: 'real',
            })
          })
          bundler.onResolve({ filter: /^@noble\/post-quantum\/ml-kem\.js$/ }, ({ pluginData }) => {
            return pluginData === 'real' ? undefined : { path: 'ml-kem', namespace: 'remembering' }
          })
          bundler.onLoad({ filter: /./, namespace: 'remembering' }, () => ({ contents: ML_KEM, resolveDir: TESTS }))
        },
      },
    ],
  })
  const text = Buffer.from(outputFiles[0]!.contents).toString('base64')
  const made = (await import(`data:text/javascript;base64,${text}`)) as { secondReader: typeof secondReader }
  return made.secondReader
}

interface Case {
  name: string
  /** Throws if the reader does not read what the vector says. */
  run: () => boolean
  milliseconds: number
}

const started = performance.now()
const seconds = () => Math.round((performance.now() - started) / 1000)
const secondReaderOf = await changedReader()
const data: Map<VectorFile, unknown[]> = new Map()
const read: ReadVectors = (file) => {
  const known = data.get(file) ?? readVectors(file)
  data.set(file, known)
  return known as never
}
const readings = secondReaderOf(read)
type Readings = ReturnType<(typeof readings)['card']>
const readingsOf = (file: VectorFile, vector: unknown) => (readings[file] as (of: unknown) => Readings)(vector)
/** Whether the second reader reads what a vector says. */
const holdsIn = (all: Readings) =>
  all.every((reading) => {
    try {
      reading.read()
      return reading.expected === 'ok'
    } catch (error) {
      return (error as Error).message === reading.expected
    }
  })
const cases: Case[] = (Object.keys(readings) as VectorFile[]).flatMap((file) =>
  read(file).map((vector) => ({
    name: `${file}.json ${vector.id}`,
    run: () => holdsIn(readingsOf(file, vector)),
    milliseconds: 0,
  })),
)
for (const { file, id, make } of largeVectors(read))
  cases.push({ name: `${file} ${id}`, run: () => holdsIn(readingsOf(file, make())), milliseconds: 0 })
const noticing: Case[][] = sites.map(() => [])
for (const each of cases) {
  touched = new Set()
  const from = performance.now()
  if (!each.run()) throw new Error(`${each.name}: the second reader does not read what the vector says`)
  each.milliseconds = performance.now() - from
  for (const id of touched) noticing[id]!.push(each)
}
console.log(`${sites.length} checks, ${cases.length} vectors, read in ${seconds()} s`)

const unnoticed: (Site & { reached: number })[] = []
for (const [id, site] of sites.entries()) {
  deleted = id
  const found = noticing[id]!.sort((a, b) => a.milliseconds - b.milliseconds)
  if (found.some((each) => !each.run())) continue
  unnoticed.push({ ...site, reached: found.length })
}
deleted = -1
const known = unnoticed.filter(({ file, text }) => equivalence(file, text) !== undefined)
for (const site of unnoticed.filter((each) => !known.includes(each))) {
  const { file, line, text, within, reached } = site
  console.log(`${file}:${line}: ${text}\n    in: ${within}\n    ${reached} vectors change its result`)
}
const open = unnoticed.length - known.length
console.log(
  `${sites.length} checks, ${open} unnoticed, ${known.length} more that are listed as equivalent, ${seconds()} s`,
)
process.exitCode = open > 0 ? 1 : 0
