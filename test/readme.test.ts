// What README.md says is true, and its examples type-check and run. docs/links.test.ts checks its links.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveClient, generateTypedKey } from '../src/client.ts'
import { KeystrataError, openLog, saveKeyset } from '../src/index.ts'
import { useBackend } from '../src/primitives/choice.ts'
import { addSlot, deriveRecoveryKey, generateRecoveryCode } from '../src/recovery.ts'
import { guardProfiles, openKeyRegistry, saveCredential } from '../src/server.ts'
import {
  type BlobStore,
  blocksIn,
  checkStore,
  memoryBlobStore,
  memoryStateStore,
  type RegistryStore,
  type StateStore,
} from '../src/stores.ts'
import { createProfile, deriveLogin, saveProfile } from '../src/vault.ts'
import { printed } from './docs/guide.ts'
import { failure, makeKeyset, quick, sample } from './fixtures.ts'
import { enrolIn } from './registry-fixtures.ts'
import { RUNTIMES } from './runtimes/runtimes.ts'
import { errorsIn, programOf } from './type-check.ts'

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, '.readme')
const textOf = (path: string) => readFileSync(join(root, path), 'utf8')
const readme = textOf('README.md')
const manifest = JSON.parse(textOf('package.json')) as {
  version: string
  engines: { node: string }
  files: string[]
  scripts: Record<string, string>
}
const examples = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1]!)
const paths = examples.map((_, index) => join(folder, `${index}.ts`))

beforeAll(() => {
  // The examples use the default costs, which would be slow here.
  useBackend(quick)
  mkdirSync(folder, { recursive: true })
  examples.forEach((code, index) => writeFileSync(paths[index]!, `${code}\nexport {}\n`))
})
afterAll(() => {
  useBackend(undefined)
  rmSync(folder, { recursive: true })
})

/** Returns the rows of the table under a heading, without its head, each as the texts of its cells. */
function tableUnder(heading: string): string[][] {
  const section = readme.split(/^## /m).find((text) => text.startsWith(heading))!
  const rows = [...section.matchAll(/^\|(.*)\|$/gm)].map((match) => match[1]!.trim().split(' | '))
  return rows.slice(2)
}
const codesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)

describe('README', () => {
  it('has at most 9,000 bytes, and code within the first 1,500', () => {
    expect(Buffer.byteLength(readme)).toBeLessThanOrEqual(9_000)
    expect(Buffer.byteLength(readme.slice(0, readme.indexOf('```ts')))).toBeLessThan(1_500)
  })

  it('has an example for each key model, of at most sixteen lines', () => {
    expect(examples).toHaveLength(3)
    for (const code of examples) expect(code.split('\n').filter((line) => line !== '').length).toBeLessThanOrEqual(16)
  })

  it('has examples that type-check', () => {
    expect(errorsIn(programOf(paths), paths)).toEqual([])
  })

  it.each([
    ['a keyset', 0, ['my file']],
    ['a vault', 1, [expect.stringMatching(/^[\w-]{32}$/), 'my file']],
    ['a client', 2, ['my file']],
  ])('has an example of %s that prints what its comments say', async (_, index, lines) => {
    expect(await printed(() => import(paths[index]!))).toEqual(lines)
  })

  it('names the version and the Node that package.json names, and commands that exist', () => {
    expect(readme).toContain(`keystrata-${manifest.version}.tgz`)
    expect(manifest.engines.node).toBe('>=20.19')
    expect(readme).toContain('Node 20.19 or newer')
    for (const text of [readme, textOf('docs/demos.md')]) {
      const scripts = [...text.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!)
      expect(scripts.length).toBeGreaterThan(0)
      for (const script of scripts) expect(Object.keys(manifest.scripts)).toContain(script)
    }
    expect(readme).toContain('npm ci && npm test')
    expect(textOf('.ci/run').trimEnd()).toMatch(/\nstep npm test$/)
  })

  it('names the runtimes that the suite runs on', () => {
    const [, oldest, newest] = /Node (\d+) to (\d+), Bun, Deno, Chromium/.exec(readme)!
    const names = Object.keys(RUNTIMES)
    expect(names).toEqual([...names.filter((name) => name.startsWith('node')), 'bun', 'deno'])
    expect([names[0], names.at(-3)]).toEqual([`node${oldest}`, `node${newest}`])
    expect(manifest.scripts).toHaveProperty('test:chromium')
    expect(manifest.scripts).toHaveProperty('test:firefox')
  })

  it('names every error code once', () => {
    const named = tableUnder('Errors').flatMap(([codes]) => codesIn(codes!))
    for (const code of named) {
      expect(KeystrataError.from({ name: 'KeystrataError', code, message: '', detail: {} }), code).toBeDefined()
    }
    const union = /export type ErrorCode =(.*?)\n\nconst/s.exec(textOf('src/core/errors.ts'))![1]!
    const all = [...union.matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map((match) => match[1]!)
    expect(all.length).toBeGreaterThan(15)
    expect([...named].sort()).toEqual(all.sort())
  })

  it('names what lies in the stores', async () => {
    const names: Set<string> = new Set()
    const note = (name: string) => void names.add(/^[a-z]+(\/|$)/.exec(name)![0])
    const inner = memoryStateStore()
    const state: RegistryStore = {
      read: (name) => inner.read(name),
      readVersion: (name, version) => inner.readVersion(name, version),
      write: (name, ...given) => (note(name), inner.write(name, ...given)),
      drop: (...given) => inner.drop(...given),
      once: (...given) => inner.once(...given),
    }
    const blobsInner = memoryBlobStore()
    const blobs: BlobStore = {
      get: (name) => blobsInner.get(name),
      put: (name, bytes) => (note(name), blobsInner.put(name, bytes)),
      replace: (...given) => blobsInner.replace(...given),
      delete: (name) => blobsInner.delete(name),
      list: (prefix) => blobsInner.list(prefix),
    }
    using keyset = await makeKeyset()
    await saveKeyset(state, keyset)
    using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
    await addSlot(state, keyset, key, { label: 'sheet' })
    await openLog(state, 'backups', keyset).append(sample(10))
    await blocksIn(blobs).put(await keyset.seal(sample(10)))
    using login = await deriveLogin('correct horse', { realm: 'tests', user: 'alice' })
    using first = createProfile(login, { zeroTrust: true })
    await saveCredential(state, first.record, login.credential)
    await saveProfile(state, first)
    using created = await first.createVault(state)
    expect(created.vault.id).toBe(created.profile.vaults[0])

    const rows = tableUnder('Where everything is stored').flatMap(([what]) => codesIn(what!))
    const said = rows.filter((text) => text !== 'atLeast').map((text) => text.replace('…', ''))
    expect([...new Set(said)].sort()).toEqual([...names].sort())
    // "out of the sessions' reach"
    const login0 = [...names].find((name) => name === 'login/')!
    await failure(() => guardProfiles(state).read(`${login0}0`), 'policy')
    // What a registry writes has other names, in the server's database.
    const before = new Set(names)
    const client = await deriveClient({
      realm: 'tests',
      account: 'acme',
      name: 'desktop',
      platform: 'linux',
      privateKey: generateTypedKey('AES-256'),
    })
    await enrolIn(openKeyRegistry(state, { realm: 'tests', server: 'storage-1' }), client)
    expect(names.size).toBeGreaterThan(before.size)
  })

  it('is right about the rule for stores: `checkStore` finds those that overwrite', async () => {
    await checkStore(memoryStateStore())
    await checkStore(memoryBlobStore())
    const state = memoryStateStore()
    const overwriting: StateStore = {
      read: (name) => state.read(name),
      readVersion: (name, version) => state.readVersion(name, version),
      drop: (...given) => state.drop(...given),
      write: async (name, version, bytes) => (await state.write(name, version, bytes)) || true,
    }
    await expect(checkStore(overwriting)).rejects.toThrow(Error)
    const blobs = memoryBlobStore()
    const replacing: BlobStore = {
      get: (name) => blobs.get(name),
      replace: (...given) => blobs.replace(...given),
      delete: (name) => blobs.delete(name),
      list: (prefix) => blobs.list(prefix),
      put: async (name, bytes) => {
        await blobs.delete(name)
        return blobs.put(name, bytes)
      },
    }
    await expect(checkStore(replacing)).rejects.toThrow(Error)
  })

  it('links to files that the package contains', () => {
    const links = [...readme.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
    expect(links.length).toBeGreaterThan(10)
    const published = [...manifest.files, 'README.md', 'LICENSE']
    for (const link of links.filter((each) => !each.startsWith('https:')).map((each) => each.replace(/#.*/, ''))) {
      expect(existsSync(join(root, link)), link).toBe(true)
      expect(
        published.some((path) => link === path || link.startsWith(`${path}/`)),
        link,
      ).toBe(true)
    }
  })
})
