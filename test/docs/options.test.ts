// The examples of docs/options.md run, its table has every option of every function, and its defaults are true.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import {
  type Argon2,
  createKeyset,
  cut,
  type Keyset,
  type KeysetWriter,
  openWriter,
  unlockKeyset,
} from '../../src/index.ts'
import { createPool } from '../../src/pool.ts'
import { openKeyRegistry, saveCredential } from '../../src/server.ts'
import { blocksIn, memoryBlobStore, memoryStateStore } from '../../src/stores.ts'
import { serveStateStore } from '../../src/stores/http.ts'
import { postgresSchema } from '../../src/stores/postgres.ts'
import { createProfile, deriveLogin } from '../../src/vault.ts'
import { sealInto } from '../../src/index.ts'
import { deriveClient, generateTypedKey } from '../../src/client.ts'
import { ALICE, all, CHEAP, failure, fieldAt, makeKeyset, PASSWORD, patched, resummed, sample } from '../fixtures.ts'
import { programOf } from '../type-check.ts'
import { functionsOf, noting, textOf, writeExamples } from './guide.ts'

const { paths } = writeExamples(['options.md'])

interface OptionsGuide {
  createFor(password: string, milliseconds: number): Promise<{ onHost: Uint8Array; inStorage: Uint8Array }>
  openOnHost(hostExport: Uint8Array): KeysetWriter
  unlock(stored: Uint8Array, password: string, last: string): Promise<unknown>
}

const root = join(import.meta.dirname, '../..')
const guide = textOf('options.md')

describe('docs/options.md', () => {
  it('creates a keyset, opens a writer, and handles each error code', async () => {
    const functions = await functionsOf<OptionsGuide>(paths)
    const { of, called } = noting(functions)
    const created = await of.createFor(PASSWORD, 1)
    using writer = of.openOnHost(created.onHost)
    const reader = await unlockKeyset(created.inStorage, PASSWORD)
    expect(await reader.open(await writer.seal(sample(9)))).toEqual(sample(9))

    const keyset = await makeKeyset()
    const stored = keyset.export('storage')
    const next = keyset.regenerate().revision
    expect(await of.unlock(stored, PASSWORD, keyset.revision)).toHaveProperty('revision', keyset.revision)
    expect(await of.unlock(stored, 'wrong', keyset.revision)).toBe('ask again')
    expect(await of.unlock(stored, 'a line\n', keyset.revision)).toMatch('line end')
    expect(await of.unlock(stored, PASSWORD, next)).toMatch('old keyset')
    expect(await of.unlock(keyset.regenerate().export('storage'), PASSWORD, next)).toMatch('adopt')
    expect(await of.unlock(stored.subarray(1), PASSWORD, keyset.revision)).toMatch('damaged')
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('is right about encryption as a minimum', async () => {
    const open = await makeKeyset({ encryption: 'none' })
    const plain = await openWriter(open.export('host'), { encryption: 'none' }).seal(sample(9))
    await failure(() => openWriter(open.export('host')), 'policy')
    const encrypted = await openWriter(open.export('host'), { encryption: 'hybrid' }).seal(sample(9))
    const weak = await makeKeyset({ encryption: 'x25519' })
    const sizes = [plain, encrypted, await weak.seal(sample(9)), await (await makeKeyset()).seal(sample(9))]
    expect(sizes.map(({ envelope }) => envelope.length).slice(1)).toEqual([1713, 145, 1713])
    expect(sizes[0]!.envelope.length).toBeLessThan(145)
    const raised = open.regenerate({ encryption: 'hybrid' })
    expect(await raised.open(plain)).toEqual(sample(9))
    const forgetful = raised.forgetRetired('unchecked')
    await failure(() => forgetful.open(plain), 'policy')
    const risky = await unlockKeyset(forgetful.export('storage'), PASSWORD, { allowWeaker: 'none' })
    expect(await risky.open(plain)).toEqual(sample(9))
    await failure(() => openWriter(raised.export('host'), { encryption: 'x25519' }), 'policy')
  })

  it('is right about dedup', async () => {
    const ciphertexts = async (one: Keyset, other: Keyset) => {
      const blocks = [await one.seal(sample(99)), await one.seal(sample(99)), await other.seal(sample(99))]
      const [first, again, others] = blocks.map(({ ciphertext }) => Buffer.from(ciphertext).toString('hex'))
      return { own: first === again, all: first === others, label: blocks[0]!.label === blocks[1]!.label }
    }
    const pair = async (options: Parameters<typeof createKeyset>[1]) =>
      ciphertexts(await makeKeyset(options), await makeKeyset(options))
    expect(await pair({})).toEqual({ own: true, all: false, label: true })
    expect(await pair({ dedup: 'global' })).toEqual({ own: true, all: true, label: true })
    expect(await pair({ dedup: 'off' })).toEqual({ own: false, all: false, label: true })
    const first = await makeKeyset()
    expect(await ciphertexts(first, await makeKeyset({ dedupWith: first }))).toMatchObject({ all: true })
  })

  it('names the defaults', async () => {
    // The example password is hashed by this function, so it sees the costs.
    const costs: object[] = []
    const argon2: Argon2 = async (password, salt, given, length) => {
      costs.push(given)
      const { argon2idAsync } = await import('@noble/hashes/argon2.js')
      const quick =
        given.memoryKiB > 1024 ? { t: 1, m: 8, p: 1 } : { t: given.iterations, m: given.memoryKiB, p: given.lanes }
      return argon2idAsync(password, salt, { ...quick, dkLen: length })
    }
    const keyset = await createKeyset(PASSWORD, { argon2 })
    expect(costs.at(-1)).toMatchObject({ memoryKiB: 64 * 1024, iterations: 3, lanes: 4 })
    await failure(() => createKeyset(PASSWORD, { costs: { ...CHEAP, memoryKiB: 19_455 } }), 'limit-exceeded')
    await failure(() => createKeyset(PASSWORD, { costs: { ...CHEAP, iterations: 1 } }), 'limit-exceeded')
    await failure(() => unlockKeyset(keyset.export('storage'), PASSWORD, { costs: CHEAP, argon2 }), 'limit-exceeded')
    const names = { realm: 'tests', account: 'acme', name: 'x', platform: 'linux' } as const
    await deriveClient({ ...names, privateKey: generateTypedKey('AES-256'), argon2 })
    expect(costs.at(-1)).toMatchObject({ memoryKiB: 64 * 1024, iterations: 3 })

    const stream = (async function* () {
      yield new Uint8Array(8 * 1024 * 1024 + 1)
    })()
    const sizes: number[] = []
    for await (const content of cut(stream)) sizes.push(content.length)
    expect(sizes).toEqual([8 * 1024 * 1024, 1])

    const login = await deriveLogin(PASSWORD, ALICE)
    let cost: number | undefined
    const hash = async (_: string, given: number) => `$2b$${(cost = given)}$${'.'.repeat(53)}`
    const bcrypt = { hash, compare: async () => true }
    await saveCredential(memoryStateStore(), createProfile(login, { zeroTrust: true }).record, login.credential, {
      bcrypt,
    })
    expect(cost).toBe(12)

    const put = (body: Uint8Array<ArrayBuffer>) =>
      serveStateStore(
        memoryStateStore(),
        new Request('https://x.example/_/x', { method: 'PUT', body, headers: { 'If-None-Match': '*' } }),
      )
    expect((await put(new Uint8Array(16 * 1024 * 1024))).status).toBe(204)
    expect((await put(new Uint8Array(16 * 1024 * 1024 + 1))).status).toBe(413)
    expect(postgresSchema()).toContain('"keystrata_head"')
    expect(() => createPool({ threads: 65 })).toThrow(RangeError)
    const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', server: 's' })
    await failure(() => registry.safeguard(new Uint8Array(9), { account: 'acme' }), 'policy')
  })

  it('is right about how many blocks are under way', async () => {
    const keyset = await makeKeyset()
    let [now, most] = [0, 0]
    const blobs = memoryBlobStore()
    const put = async (name: string, bytes: Uint8Array) => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 5))
      now--
      return blobs.put(name, bytes)
    }
    await all(
      sealInto(
        blocksIn({ ...blobs, put }),
        keyset,
        Array.from({ length: 16 }, (_, index) => sample(9, index)),
      ),
    )
    expect(most).toBe(4)
  })

  it('is right about damage and wrong passwords', async () => {
    const stored = (await makeKeyset()).export('storage')
    const salt = fieldAt(stored, 'argon2') + 12
    const damaged = patched(stored, salt, [stored[salt]! ^ 1])
    await failure(() => unlockKeyset(damaged, PASSWORD), 'malformed')
    // Whoever changes it on purpose makes the checksum fit.
    await failure(() => unlockKeyset(resummed(damaged), PASSWORD), 'wrong-password')
  })

  it('is right about an explicit undefined, and about a misspelt name', async () => {
    const host = (await makeKeyset()).export('host')
    expect(openWriter(host, { encryption: undefined }).revision).toMatch(/^1-/)
    await expect(unlockKeyset(host, PASSWORD, { atLeast: undefined } as never)).rejects.toThrow(TypeError)
    const message = /"(openWriter\s+has\s+no\s.*?)"/s.exec(guide)![1]!.replaceAll(/\s+/g, ' ')
    expect(() => openWriter(host, { encription: 'hybrid' } as never)).toThrow(message)
  })
})

/** Returns the options of all exported functions and methods that may be left out: `name of the function: option`. */
function optionsInCode(): Set<string> {
  const source = join(root, 'src')
  const files = [source, join(source, 'stores')].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
  const entries = files.filter((path) => !/stores.(?:blob-laws|check|laws|memory|parts)\.ts$/.test(path))
  const program = programOf(entries)
  const checker = program.getTypeChecker()
  const found: Set<string> = new Set()
  const read = (name: string, type: ts.Type) => {
    for (const { parameters } of checker.getNonNullableType(type).getCallSignatures()) {
      for (const parameter of parameters.filter((each) => ['options', 'expected'].includes(each.name))) {
        const given = checker.getNonNullableType(checker.getTypeOfSymbol(parameter))
        const options = given.isUnion() ? given.types.flatMap((each) => each.getProperties()) : given.getProperties()
        for (const option of options) if (option.flags & ts.SymbolFlags.Optional) found.add(`${name}: ${option.name}`)
      }
    }
  }
  for (const entry of entries) {
    for (const each of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)) {
      const exported = each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each
      if (exported.flags & ts.SymbolFlags.Function) read(each.name, checker.getTypeOfSymbol(exported))
      if (!(exported.flags & ts.SymbolFlags.Interface)) continue
      for (const member of checker.getDeclaredTypeOfSymbol(exported).getProperties())
        read(member.name, checker.getTypeOfSymbol(member))
    }
  }
  return found
}

describe('the table of all options', () => {
  it('has each option of each function, and no others', () => {
    const rows = [
      ...guide
        .split('## All options')[1]!
        .split('\n## ')[0]!
        .matchAll(/^\| (`.*) \|$/gm),
    ]
    const wordsIn = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, word]) => word!)
    let before: string[] = []
    const said: Set<string> = new Set()
    for (const [, row] of rows) {
      const [options = '', functions = ''] = row!.split(' | ')
      // "The same" means the functions of the row above.
      before = [...(functions.startsWith('the same') ? before : []), ...wordsIn(functions)]
      for (const option of wordsIn(options)) for (const name of before) said.add(`${name}: ${option}`)
    }
    expect([...said].sort()).toEqual([...optionsInCode()].sort())
  })
})

describe('the table of errors', () => {
  it('has each code', () => {
    const [, type = ''] = readFileSync(join(root, 'src/core/errors.ts'), 'utf8').split('export type ErrorCode =')
    const codes = [...type.split('const messages')[0]!.matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(15)
    const said = [...guide.split('## Errors')[1]!.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code)
    expect(said).toEqual(codes)
  })
})
