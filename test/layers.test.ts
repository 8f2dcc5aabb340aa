// The rooms of the library (ARCHITECTURE.md). Imports point down, there are no import cycles, and only a few files
// import outside packages. If a test fails, its message says where the imported thing belongs.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

const SHARED = ['primitives', 'core', 'state', 'device']
const MODELS = ['keyset', 'vault', 'client']
const USERS = ['server', 'pool', 'recovery', 'fleet', 'legacy']
const ADAPTERS = 'stores'

/** The rooms that each room may import, apart from itself. */
const below: Readonly<Record<string, readonly string[]>> = {
  primitives: [],
  core: ['primitives'],
  state: ['primitives', 'core'],
  device: ['primitives', 'core'],
  ...Object.fromEntries(MODELS.map((room) => [room, SHARED])),
  ...Object.fromEntries(USERS.map((room) => [room, [...SHARED, ...MODELS]])),
  [ADAPTERS]: ['primitives', 'core', 'state'],
  entry: [...SHARED, ...MODELS, ...USERS, ADAPTERS],
}

/** The only files of core that primitives may import: they need no primitive themselves. */
const UNDER_PRIMITIVES = ['core/bytes.ts', 'core/errors.ts', 'core/realms.ts', 'core/secret.ts']

/** The outside packages, and the one room or file that imports each. */
const doors: readonly (readonly [RegExp, string])[] = [
  [/^@noble\//, 'primitives/portable.ts'],
  [/^@noble\/curves\/ed25519\.js$/, 'primitives/signature.ts'],
  [/^node:crypto$/, 'primitives/node-crypto.ts'],
  [/^node:crypto$/, 'primitives/node-kem.ts'],
  [/^node:worker_threads$/, 'core/threads.ts'],
  [/^bcryptjs$/, 'server/bcrypt-here.ts'],
  [/^shamir-secret-sharing$/, 'recovery/split.ts'],
  [/^qr$/, 'recovery/sheet.ts'],
  [/^des\.js$/, 'legacy/des.ts'],
  [/^node:(fs\/promises|path)$/, 'stores/folder.ts'],
  [/^node:(fs\/promises|path)$/, 'stores/folder-files.ts'],
  [/^@aws-sdk\/client-s3$/, 'stores/s3.ts'],
]

const LONGEST_FILE = 500

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

const roomOf = (path: string) => (path.includes('/') ? path.split('/')[0]! : 'entry')

/** Returns what a file imports: files of `src` by their path in it, packages by their name. */
function importsOf(file: string): string[] {
  // Examples in docstrings import the package.
  const text = readFileSync(join(src, file), 'utf8').replaceAll(/\/\*\*.*?\*\//gs, '')
  return [...text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)|^import '([^']+)'/gm)]
    .map((match) => match[1] ?? match[2] ?? match[3]!)
    .map((target) => (target.startsWith('.') ? relative(src, join(src, dirname(file), target)) : target))
}

const imports: ReadonlyMap<string, readonly string[]> = new Map(files.map((file) => [file, importsOf(file)]))
const isOwn = (target: string) => target.endsWith('.ts')

/** Returns what is wrong with an import between two files of the library, and where the imported thing belongs. */
function misplaced(file: string, target: string): string | undefined {
  const [room, other] = [roomOf(file), roomOf(target)]
  const allowed = below[room]
  if (allowed === undefined) return `src/${room} is not a room: add it to this test and to ARCHITECTURE.md`
  if (room === 'primitives' && other === 'core') {
    if (UNDER_PRIMITIVES.includes(target)) return undefined
    return `${file} imports ${target}: primitives lie under core, so what they need belongs in ${UNDER_PRIMITIVES.join(', ')}`
  }
  if (room === other && room !== 'entry') return undefined
  if (allowed.includes(other)) return undefined
  if (other === 'entry') return `${file} imports the entry ${target}: import the file that defines the thing`
  if (MODELS.includes(room) && MODELS.includes(other))
    return `${file} imports ${target}: key models do not know each other, so what both need belongs in core`
  return `${file} imports ${target}: src/${other} lies above src/${room}, so the thing belongs in src/${room} or below it`
}

/** Returns the shortest import cycle through a file. */
function circleOf(file: string): string[] | undefined {
  const paths = [[file]]
  const seen: Set<string> = new Set()
  for (const path of paths) {
    for (const target of (imports.get(path.at(-1)!) ?? []).filter(isOwn)) {
      if (target === file) return [...path, file]
      if (!seen.has(target)) paths.push([...path, target])
      seen.add(target)
    }
  }
  return undefined
}

describe('rooms', () => {
  it('have source files', () => {
    expect(files.length).toBeGreaterThan(80)
    const rooms = new Set(files.map(roomOf))
    expect([...rooms].sort()).toEqual(Object.keys(below).sort())
  })

  it.each(files)('%s imports only what lies below it', (file) => {
    const wrong = imports
      .get(file)!
      .filter(isOwn)
      .map((target) => misplaced(file, target))
    expect(wrong.filter((each) => each !== undefined)).toEqual([])
  })

  it.each(files)('%s imports only the packages it is the door for', (file) => {
    const packages = imports.get(file)!.filter((target) => !isOwn(target))
    const allowed = doors.filter(([, door]) => door === file).map(([name]) => name)
    const wrong = packages.filter((target) => !allowed.some((name) => name.test(target)))
    expect(wrong, 'call the file that wraps this package, or make this file a door and say so here').toEqual([])
  })

  it.each(files)('%s is in no import cycle, of types or of values', (file) => {
    expect(circleOf(file), 'move what both ends need into a file that both import').toBeUndefined()
  })

  it.each(files)('%s is short enough for one subject', (file) => {
    const lines = readFileSync(join(src, file), 'utf8').split('\n').length
    expect(lines, 'split it by subject, not by length').toBeLessThanOrEqual(LONGEST_FILE)
  })

  it('no two files have the same name, apart from the layout and the blocks of each key model', () => {
    const names = files.filter((file) => file.includes('/')).map((file) => file.split('/')[1]!)
    const repeated = new Set(names.filter((name, index) => names.indexOf(name) !== index))
    expect([...repeated].sort()).toEqual(['block.ts', 'layout.ts'])
  })

  it.each([
    ['core/block.ts', 'keyset/open.ts', 'src/keyset lies above src/core'],
    ['vault/block.ts', 'keyset/open.ts', 'key models do not know each other'],
    ['primitives/kdf.ts', 'core/header.ts', 'belongs in core/bytes.ts'],
    ['server/key-registry.ts', 'index.ts', 'import the file that defines the thing'],
    ['attic/old.ts', 'core/bytes.ts', 'not a room'],
  ])('%s must not import %s', (file, target, reason) => {
    expect(misplaced(file, target)).toContain(reason)
  })
})
