// Every example in the guides (docs/*.md) type-checks and runs.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import encodeQR from 'qr'
import {
  type Card,
  changeKeyset,
  type Keyset,
  loadKeyset,
  openLog,
  rekeyBlocks,
  saveKeyset,
  sealInto,
} from '../src/index.ts'
import type { Delegation } from '../src/fleet.ts'
import { useBackend } from '../src/primitives/choice.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  renewSlots,
  testSlot,
} from '../src/recovery.ts'
import { type Blocks, blocksIn, memoryBlobStore, memoryStateStore, type StateStore } from '../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../src/stores/folder.ts'
import { deriveLogin, type Login, openProfile, type Profile } from '../src/vault.ts'
import { ALICE, all, failure, makeKeyset, PASSWORD, quick, resummed, sample } from './fixtures.ts'
import { errorsIn, programOf } from './type-check.ts'

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, '.docs')

interface Example {
  readonly guide: string
  readonly path: string
  readonly code: string
  /** The functions that it declares. */
  readonly functions: readonly string[]
}

const guides = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
const textOf = (guide: string): string => readFileSync(join(root, 'docs', guide), 'utf8')
const examples = guides.flatMap((guide) =>
  [...textOf(guide).matchAll(/```ts\n(.*?)```/gs)].map(([, code = ''], index): Example => {
    return { guide, code, path: join(folder, `${guide}-${index}.ts`), functions: functionsIn(code) }
  }),
)

function functionsIn(code: string): string[] {
  return ts.createSourceFile('', code, ts.ScriptTarget.Latest).statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement)) return [statement.name!.text]
    if (!ts.isVariableStatement(statement)) return []
    return statement.declarationList.declarations
      .filter(({ initializer }) => initializer !== undefined && ts.isArrowFunction(initializer))
      .map(({ name }) => (name as ts.Identifier).text)
  })
}

beforeAll(() => {
  // The examples use the default costs, which would be slow here.
  useBackend(quick)
  mkdirSync(folder, { recursive: true })
  for (const { path, code, functions } of examples) writeFileSync(path, `${code}\nexport { ${functions.join(', ')} }\n`)
})
afterAll(() => {
  useBackend(undefined)
  rmSync(folder, { recursive: true })
})

/** Returns all functions of the examples in a guide. */
async function functionsOf(guide: string): Promise<object> {
  const modules = examples
    .filter((each) => each.guide === guide)
    .map(({ path }) => import(path) as Promise<Record<string, unknown>>)
  return (await Promise.all(modules)).reduce((all, each) => ({ ...all, ...each }), {})
}

/** Returns functions that note their names when they are called. */
function noting<T extends object>(functions: T): { of: T; called: Set<string> } {
  const called: Set<string> = new Set()
  const get = (target: T, name: string | symbol): unknown => {
    called.add(String(name))
    return target[name as keyof T]
  }
  return { of: new Proxy(functions, { get }), called }
}

describe('the guides', () => {
  it('are not longer than 12 kB, and have short examples', () => {
    expect(guides).toContain('recovery.md')
    for (const guide of guides) expect(Buffer.byteLength(textOf(guide)), guide).toBeLessThanOrEqual(12 * 1024)
    for (const { code, path } of examples) {
      expect(code.split('\n').filter((line) => line !== '').length, path).toBeLessThanOrEqual(20)
    }
  })

  it('have examples that type-check', () => {
    const paths = examples.map(({ path }) => path)
    expect(paths.length).toBeGreaterThan(7)
    expect(errorsIn(programOf(paths), paths)).toEqual([])
  })
})

interface RecoveryGuide {
  addWays(store: StateStore, keyset: Keyset, card: Card, prf: Uint8Array): Promise<{ code: string; parts: string[] }>
  sheetFor(code: string, store: string, keyset: Keyset): string
  drill(store: StateStore, typed: string): Promise<string>
  recover(
    store: StateStore,
    typed: { code: string } | { parts: string[] },
    sheet: { id: string; atLeast: string },
    nextPassword: string,
  ): Promise<Keyset>
  takeAway(store: StateStore, keyset: Keyset, id: string, keep: string[], nextPassword: string): Promise<Keyset>
  startAgain(store: StateStore, old: Keyset, password: string, code: string): Promise<Keyset>
  signUp(login: Login, code: string): Promise<Profile>
  resetByCode(record: Uint8Array, code: string, next: Login): Promise<Profile>
  toMail(keyset: Keyset): string
  fromMail(pasted: string, fingerprint: string): Card
}

const sheetOf = ({ id, revision }: Keyset) => ({ id, atLeast: revision })

describe('docs/recovery.md', () => {
  it('says what is true, from the first slot to a new keyset', async () => {
    const functions = (await functionsOf('recovery.md')) as RecoveryGuide
    const { of, called } = noting(functions)
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using partner = await makeKeyset()
    const prf = sample(32)
    const { code, parts } = await of.addWays(store, keyset, partner.card(), prf)
    const slots = await listSlots(store)
    expect(slots.map(({ kind }) => kind)).toEqual(['code', 'split', 'card', 'secret'])
    expect(slots[1]).toMatchObject({ needed: 3, parts: 5 })

    const sheet = of.sheetFor(code, 's3://backup', keyset)
    for (const text of [...code.split('-'), 's3://backup', keyset.id, keyset.revision]) expect(sheet).toContain(text)

    const printed: unknown[] = []
    const log = vi.spyOn(console, 'log').mockImplementation((line) => void printed.push(line))
    expect(await of.drill(store, code.toLowerCase())).toBe('Sheet in the safe opens the keyset')
    log.mockRestore()
    expect(printed).toEqual(slots.map(({ label, kind }) => `${label} (${kind})`))
    await failure(() => of.drill(store, parts[0]!), 'invalid-text')
    using secret = await deriveRecoveryKey({ secret: prf })
    expect((await testSlot(store, secret)).label).toBe('Passkey on the phone')

    using recovered = await of.recover(store, { code }, sheetOf(keyset), 'the second')
    using byParts = await of.recover(store, { parts: parts.slice(2) }, sheetOf(recovered), 'the third')
    using third = await loadKeyset(store, 'the third')
    expect(third.revision).toBe(byParts.revision)
    await failure(
      () => of.recover(store, { code }, { id: keyset.id, atLeast: `9${keyset.revision.slice(1)}` }, 'x'),
      'rollback',
    )
    const few = await failure(() => of.recover(store, { parts: parts.slice(3) }, sheetOf(keyset), 'x'), 'invalid-text')
    expect(few.detail).toMatchObject({ reason: 'too-few' })
    const wrong = [parts[0]!, parts[1]!, parts[2]!.slice(1)]
    expect(await failure(() => deriveRecoveryKey({ parts: wrong }), 'invalid-text')).toMatchObject({
      detail: { part: 3 },
    })

    using kept = await recoverKeyset(store, partner, { from: keyset.card() })
    const keep = slots.filter(({ kind }) => kind !== 'card').map(({ id }) => id)
    using last = await of.takeAway(store, third, slots[2]!.id, keep, 'the fourth')
    await failure(() => recoverKeyset(store, partner, { from: keyset.card() }), 'key-not-found')
    await failure(() => changeKeyset(store, kept, (newest) => newest.regenerate()), 'wrong-password')
    await failure(async () => kept.open(await last.seal(sample(9))), 'key-not-found')
    expect((await listSlots(store)).map(({ id, isCurrent }) => [id, isCurrent])).toEqual(keep.map((id) => [id, true]))
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe opens the keyset')

    const newCode = generateRecoveryCode()
    using again = await of.startAgain(store, last, 'the fifth', newCode)
    expect((await listSlots(store)).map(({ label }) => label)).toEqual(['Sheet in the safe'])
    using newest = await of.recover(store, { code: newCode }, sheetOf(again), 'the sixth')
    expect(newest.id).toBe(again.id)
    using oldKey = await deriveRecoveryKey({ code })
    await failure(() => recoverKeyset(store, oldKey), 'key-not-found')
    await failure(() => testSlot(store, secret), 'key-not-found')

    using first = await deriveLogin(PASSWORD, ALICE)
    using next = await deriveLogin('the next', ALICE)
    using profile = await of.signUp(first, code)
    using reset = await of.resetByCode(profile.record, code, next)
    expect(openProfile(reset.record, next).revision).toBe(reset.revision)
    await of.resetByCode(reset.record, code, first)

    const mailed = of.toMail(keyset).replaceAll('\n', '\r\n> ')
    expect(of.fromMail(mailed, keyset.card().fingerprint)).toEqual(keyset.card())
    expect([...called].sort()).toEqual(Object.keys(functions).sort())
  })

  it('restores files with a sheet and a disk, by the program at its top', async () => {
    const [, code = ''] = /```js\n(.*?)```/s.exec(textOf('recovery.md'))!
    const program = join(folder, 'restore.mjs')
    writeFileSync(program, code)
    const disk = mkdtempSync(join(tmpdir(), 'keystrata-disk-'))
    try {
      const state = folderStateStore(join(disk, 'keys'))
      using keyset = await makeKeyset()
      await saveKeyset(state, keyset)
      const recoveryCode = generateRecoveryCode()
      using key = await deriveRecoveryKey({ code: recoveryCode })
      await addSlot(state, keyset, key, { label: 'Sheet' })
      const blocks = blocksIn(folderBlobStore(join(disk, 'data')))
      const contents = [sample(100), sample(200, 2)]
      const refs = (await all(sealInto(blocks, keyset, contents))).map(({ ref }) => ref)
      await openLog(state, 'backups', keyset).append(Buffer.from(JSON.stringify({ 'a file': refs })))
      const { restore } = (await import(program)) as {
        restore: (
          keys: string,
          data: string,
          code: string,
        ) => Promise<{
          list: Record<string, string[]>
          keyset: Keyset
          contentsOf: (refs: string[]) => AsyncIterable<Uint8Array>
        }>
      }
      const restored = await restore(join(disk, 'keys'), join(disk, 'data'), recoveryCode.toLowerCase())
      expect(restored.keyset.id).toBe(keyset.id)
      expect(Buffer.concat(await all(restored.contentsOf(restored.list['a file']!)))).toEqual(Buffer.concat(contents))
    } finally {
      rmSync(disk, { recursive: true })
    }
  })

  it('is right about slots that must be renewed', async () => {
    const of = (await functionsOf('recovery.md')) as RecoveryGuide
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using partner = await makeKeyset()
    const { code } = await of.addWays(store, keyset, partner.card(), sample(32))
    using changed = await changeKeyset(store, keyset, (newest) =>
      newest.changePassword('the second', { newMaster: true }),
    )
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe must be renewed')
    await failure(() => of.addWays(store, changed, partner.card(), sample(32)), 'policy')
    expect(await renewSlots(store, changed)).toHaveLength(4)
    expect(await quietly(() => of.drill(store, code))).toBe('Sheet in the safe opens the keyset')
  })

  it('is right about a new keyset whose slots were not added again', async () => {
    const of = (await functionsOf('recovery.md')) as RecoveryGuide
    const store = memoryStateStore()
    using old = await makeKeyset()
    await saveKeyset(store, old)
    using partner = await makeKeyset()
    const { code } = await of.addWays(store, old, partner.card(), sample(32))
    using created = await makeKeyset()
    using adopted = created.adopt(old)
    await saveKeyset(store, adopted)
    await failure(() => renewSlots(store, adopted), 'policy')
    using key = await deriveRecoveryKey({ code })
    using opened = await recoverKeyset(store, key)
    expect([opened.id, opened.revision]).toEqual([old.id, old.revision])
  })

  it('is right about what the store can do', async () => {
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    await saveKeyset(store, keyset)
    using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
    await addSlot(store, keyset, key, { label: 'mine' })
    const bytes = Buffer.from((await store.read('slots'))!.bytes)
    const before = { slots: bytes, keyset: (await store.read('keyset'))!.bytes }
    // It changes a label, and makes the checksum fit again.
    const altered = Buffer.from(bytes)
    altered.write('mind', bytes.indexOf('mine'))
    const summed = resummed(altered)
    const forging = memoryStateStore()
    await forging.write('keyset', 1, before.keyset)
    await forging.write('slots', 1, summed)
    expect((await listSlots(forging)).map(({ label }) => label)).toEqual(['mind'])
    await failure(() => recoverKeyset(forging, key), 'authentication-failed')

    using newer = await changeKeyset(store, keyset, (newest) => newest.regenerate())
    const late = memoryStateStore()
    await late.write('keyset', 1, before.keyset)
    await late.write('slots', 1, before.slots)
    await failure(() => recoverKeyset(late, key, { atLeast: newer.revision }), 'rollback')
  })

  it('is right about the revision on an old sheet', async () => {
    const store = memoryStateStore()
    using keyset = await makeKeyset()
    using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
    await saveKeyset(store, keyset)
    await addSlot(store, keyset, key, { label: 'Sheet' })
    // A keyset remembers 255 revisions.
    let newest = keyset
    for (let change = 1; change <= 260; change++) {
      newest = await newest.changePassword(PASSWORD)
      if (change % 130 === 0) await saveKeyset(store, newest)
    }
    using opened = await recoverKeyset(store, key, { atLeast: keyset.revision })
    expect(opened.revision).toBe(newest.revision)
  })

  it('is right about what fits one QR code', async () => {
    using keyset = await makeKeyset()
    const ecc = 'low'
    const text = (bytes: number) => 'a'.repeat(bytes)
    expect(encodeQR(text(2953), 'raw', { ecc })).toHaveLength(177 + 4)
    expect(() => encodeQR(text(2954), 'raw', { ecc })).toThrow()
    expect(keyset.card().bytes.length).toBeLessThan(2953)
    expect(keyset.export('storage').length).toBeGreaterThan(3900)
  })
})

interface FleetGuide {
  begin(state: StateStore, keyset: Keyset, fleet: Card): Promise<{ regenerated: Keyset; delegation: Uint8Array }>
  startWorker(delegation: Uint8Array, fleet: Keyset, owner: Card): Delegation
  work(state: StateStore, blocks: Blocks, delegation: Delegation, prefix: string): ReturnType<typeof rekeyBlocks>
  finish(state: StateStore, blocks: Blocks, regenerated: Keyset, atLeast: string): Promise<Keyset>
}

describe('docs/fleet.md', () => {
  it('says what is true, from the delegation to forgetting', async () => {
    const { of, called } = noting((await functionsOf('fleet.md')) as FleetGuide)
    const state = memoryStateStore()
    const blocks = blocksIn(memoryBlobStore())
    const [keyset, fleet] = await Promise.all([makeKeyset(), makeKeyset()])
    await saveKeyset(state, keyset)
    const content = sample(100)
    const block = await keyset.seal(content)
    await blocks.put(block)
    const position = await openLog(state, 'backups', keyset).append(new TextEncoder().encode(block.label))

    const { regenerated, delegation } = await of.begin(state, keyset, fleet.card())
    using worker = of.startWorker(delegation, fleet, regenerated.card())
    await failure(() => of.finish(state, blocks, regenerated, position), 'policy')
    expect(await of.work(state, blocks, worker, block.label[0]!)).toEqual({ rekeyed: 1, current: 0, failed: [] })
    expect(await of.work(state, blocks, worker, '')).toEqual({ rekeyed: 0, current: 1, failed: [] })
    using last = await of.finish(state, blocks, regenerated, position)
    expect(last.retired).toBe(0)
    expect(await last.open((await blocks.get(block.label))!)).toEqual(content)
    await failure(() => of.work(state, blocks, worker, ''), 'stale-export')
    expect(called).toEqual(new Set(['begin', 'startWorker', 'work', 'finish']))
  })
})

/** Does something without its output. */
async function quietly<T>(action: () => Promise<T>): Promise<T> {
  const log = vi.spyOn(console, 'log').mockReturnValue()
  try {
    return await action()
  } finally {
    log.mockRestore()
  }
}
