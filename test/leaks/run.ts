// npm run test:memory -- [--node <program>] [--src <folder>] [--only <kind>] [--freed] [--verbose]: makes and disposes
// of every kind of key in a process of its own, and searches all memory of that process, and a heap snapshot, for the
// keys. It fails if it finds one that is not listed below, or does not find one that is there. Linux only.
//
// --src searches another version of the library. --freed also shows what is left in memory that was freed, by OpenSSL
// for example.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build, type Plugin } from 'esbuild'
import { type Frozen, kinds, ROLES } from './kinds.ts'
import { copiesOf, type Found, needlesOf, Searcher, type Secret } from './needles.ts'
import { type Area, ONE_HEAP, OVERWRITE_FREED, scan } from './scan.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    src: { type: 'string', default: join(import.meta.dirname, '../../src') },
    only: { type: 'string' },
    freed: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})
const source = resolve(values.src)
const folder = mkdtempSync(join(tmpdir(), 'keystrata-memory-'))

/** Prints what this release of Node computes itself. */
const PROBES = `
  const { createPrivateKey, encapsulate } = require('node:crypto')
  const works = (probe) => { try { probe(); return true } catch { return false } }
  const key = { key: Buffer.alloc(32, 1), format: 'raw-private', asymmetricKeyType: 'x25519' }
  ;[encapsulate && 'ML-KEM', works(() => createPrivateKey(key)) && 'raw formats'].filter(Boolean).join()`

/** What this search needs of a vector. */
type Vector = { readonly id: string; readonly export: string } & Frozen

/** Returns a vector of test/vectors. */
const vector = (file: string, id: string): Vector =>
  (JSON.parse(readFileSync(join(import.meta.dirname, '../vectors', file), 'utf8')) as Vector[]).find(
    (each) => each.id === id,
  )!

function frozenBlock(): Frozen {
  const { export: stored, password } = vector('keyset.json', 'source-storage')
  const { label, block } = vector('block.json', 'hybrid-scoped')
  return { stored, password, label, block }
}

/** Where a key gets its bytes. Earlier sources call the variable `copy`. */
const KEY_IS_SET = / {4}this\.#bytes = (copy|own)\n/

/** Takes the library from `source`. In the process that lists the secrets, every SecretKey reports its bytes. */
const library = (isListing: boolean): Plugin => ({
  name: 'library',
  setup(esbuild) {
    esbuild.onResolve({ filter: /^\.\.\/\.\.\/src\// }, ({ path }) => ({ path: join(source, path.slice(10)) }))
    esbuild.onLoad({ filter: /\/core\/secret\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, 'utf8')
      if (!KEY_IS_SET.test(contents)) throw new Error(`${path} does not set the bytes of a key as it did`)
      const reporting = contents.replace(KEY_IS_SET, `$&    ;(globalThis as any).recordKey?.(role, $1)\n`)
      return { contents: isListing ? reporting : contents, loader: 'ts' }
    })
  },
})

async function bundle(isListing: boolean): Promise<string> {
  const outdir = join(folder, isListing ? 'listing' : 'searched')
  await build({
    entryPoints: { process: join(import.meta.dirname, 'process.ts'), worker: join(source, 'pool/worker.ts') },
    outdir,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    outExtension: { '.js': '.js' },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: [library(isListing)],
    nodePaths: [join(import.meta.dirname, '../../node_modules')],
  })
  writeFileSync(join(outdir, 'frozen.json'), JSON.stringify(frozenBlock()))
  return join(outdir, 'process.js')
}

function start(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(values.node, ['--expose-gc', program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
}

/** Returns the secrets that a kind makes on every run. OpenSSL draws some ephemeral keys itself; those are left out. */
async function secretsOf(kind: string, listing: string): Promise<Secret[]> {
  const list = async () => {
    const child = start(listing, [kind], { NODE_OPTIONS: '--enable-source-maps' })
    let text = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`${kind}: the process ended with code ${code}`)
    return JSON.parse(text) as Secret[]
  }
  const [first, second] = await Promise.all([list(), list()])
  const again = new Set(second.map(({ hex }) => hex))
  const repeated = first.filter(({ hex }) => again.has(hex) && !isPattern(hex))
  return [...new Map(repeated.map((each) => [each.hex, each])).values()]
}

/** Returns whether bytes have a pattern, as some keys of the test vectors have. Such bytes are found anywhere. */
const isPattern = (hex: string): boolean => new Set(hex.match(/../g)).size < Math.min(16, hex.length / 4)

interface Copy extends Secret {
  readonly encoding: string
  readonly area: Area | 'snapshot'
}

async function search(kind: string, secrets: readonly Secret[], searched: string): Promise<Copy[]> {
  const searcher = new Searcher(needlesOf(secrets))
  const snapshot = join(folder, 'snapshot.json')
  const child = start(searched, [kind, snapshot], { ...ONE_HEAP, ...(values.freed ? {} : OVERWRITE_FREED) })
  const next = async () => {
    const answer = (await Promise.race([once(child.stdout!, 'data'), once(child, 'close')])) as [unknown]
    if (!(answer[0] instanceof Buffer)) throw new Error(`${kind}: the process ended`)
  }
  await next()
  const { found } = scan(child.pid!, searcher)
  child.stdin!.write('\n')
  await next()
  const gone = once(child, 'close')
  child.stdin!.write('\n')
  await gone
  const inSnapshot: Found[] = []
  // A string of bytes is written as JSON, so it is also searched as the bytes that it stands for.
  const text = readFileSync(snapshot, 'latin1')
  const { strings } = JSON.parse(readFileSync(snapshot, 'utf8')) as { strings: string[] }
  searcher.search(Buffer.from(text, 'latin1'), 0, (each) => inSnapshot.push(each))
  searcher.search(Buffer.from(strings.join('\n'), 'latin1'), text.length, (each) => {
    if (each.encoding === 'bytes') inSnapshot.push(each)
  })
  const named = (area: Copy['area'], each: Found): Copy => ({ ...secrets[each.secret]!, encoding: each.encoding, area })
  return [
    ...(['V8', 'malloc', 'stack', 'data'] as const).flatMap((area) =>
      copiesOf(found.filter((each) => each.area === area)).map((each) => named(area, each)),
    ),
    ...copiesOf(inSnapshot).map((each) => named('snapshot', each)),
  ]
}

/** Copies that stay, and why. docs/threat-model.md lists them, because no program in JavaScript can prevent them. */
const STAYS: readonly { roles: readonly string[]; encoding: string; why: string; site?: string; unless?: string }[] = [
  { roles: ['password', 'activation'], encoding: 'bytes', why: 'a text that people type is a string' },
  { roles: ['recovery'], encoding: 'bytes', why: 'a text that people type is a string', site: 'ofCode' },
  { roles: ['login'], encoding: 'base64', why: 'a credential is a string' },
  { roles: ['member'], encoding: 'base64', why: 'the key of a member of a pack is a string' },
  { roles: ['ephemeral'], encoding: 'base64', why: 'Node imports an X25519 key as a string', unless: 'raw formats' },
  { roles: ['agreed', 'ephemeral', 'ml-kem-1024'], encoding: 'bytes', why: 'noble', unless: 'ML-KEM' },
]

/** What this release of Node has. */
const has = new Set(execFileSync(values.node, ['-p', PROBES], { encoding: 'utf8' }).trim().split(',').filter(Boolean))

/**
 * Returns whether a copy may be there. A string may stay until it is collected, but nothing may refer to it. A registry
 * has no `dispose`: its key is freed with it.
 */
const stays = ({ role, encoding, area, site }: Copy): boolean =>
  area === 'V8' || area === 'stack'
    ? STAYS.some(
        (each) =>
          each.roles.includes(role) &&
          encoding.startsWith(each.encoding) &&
          site.includes(each.site ?? '') &&
          !has.has(each.unless ?? ''),
      )
    : area === 'malloc' && values.freed && role === 'mac'

const roles: Set<string> = new Set()
const areas = ['V8', 'malloc', 'stack', 'data', 'snapshot'] as const
const faults: string[] = []

function report(kind: string, secrets: readonly Secret[], copies: readonly Copy[]): void {
  const counts = areas.map((area) => String(copies.filter((copy) => copy.area === area).length).padStart(10))
  const unexpected = copies.filter((copy) => !stays(copy))
  const isControl = kind.startsWith('control')
  const wrong = isControl ? isMissing(kind, copies) : unexpected.length > 0
  console.log(`${kind.padEnd(40)}${String(secrets.length).padStart(9)}${counts.join('')}${wrong ? '  ✗' : ''}`)
  if (wrong) faults.push(kind)
  const lines: Map<string, number> = new Map()
  for (const { role, encoding, area, site } of values.verbose ? copies : isControl ? [] : unexpected) {
    const line = `    ${role}, ${encoding}, ${area} ${site}`
    lines.set(line, (lines.get(line) ?? 0) + 1)
  }
  for (const [line, count] of lines) console.log(`${line} × ${count}`)
}

/** Returns whether the search overlooked something that is there. */
function isMissing(kind: string, copies: readonly Copy[]): boolean {
  const isFound = (encoding: string, ...where: readonly Copy['area'][]) =>
    where.every((area) => copies.some((copy) => copy.area === area && copy.encoding.startsWith(encoding)))
  if (!kind.includes('strings')) return !isFound('bytes', 'V8', 'malloc')
  return !(['bytes', 'hex', 'base64'] as const).every((encoding) => isFound(encoding, 'V8', 'snapshot'))
}

try {
  const [listing, searched] = [await bundle(true), await bundle(false)]
  const wanted = Object.keys(kinds).filter((kind) => values.only === undefined || kind.includes(values.only))
  console.log(`${'kind of key'.padEnd(42)}secrets${areas.map((area) => area.padStart(10)).join('')}`)
  for (const kind of wanted) {
    const secrets = await secretsOf(kind, listing)
    for (const { role } of secrets) roles.add(role)
    report(kind, secrets, await search(kind, secrets, searched))
  }
} finally {
  rmSync(folder, { recursive: true })
}
const missing = values.only === undefined ? Object.keys(ROLES).filter((role) => !roles.has(role)) : []
if (missing.length > 0) console.log('✗ no kind used a key of these roles:', missing.join(', '))
if (faults.length > 0) console.log('✗ wrong:', faults.join('; '))
process.exitCode = missing.length + faults.length === 0 ? 0 : 1
