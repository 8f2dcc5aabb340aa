// Row 4. The reader has every byte of a repository that a whole backup wrote. The test scans it for any run of
// content. It also counts what each guess of a password or a typed key costs.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backUp } from '../../examples/backup.ts'
import { folderStore } from '../../examples/backup-store.ts'
import { BackupLog, BACKUPS } from '../../examples/backup-log.ts'
import { deriveClient } from '../../src/client.ts'
import { createKeyset, openLog, openWriter, saveKeyset, unlockKeyset } from '../../src/index.ts'
import type { Argon2Costs } from '../../src/core/password.ts'
import { failure, hex, PASSWORD, quick, quickly, withBackend } from '../fixtures.ts'
import { makeTree, NAMES, newFolder } from '../examples/tree.ts'
import { quickKeyset } from './known.ts'

const filesIn = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => join(root, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)

const WINDOW = 16

/**
 * Returns whether stored bytes at this place are content. Eight equal bytes may be chance, so it compares 16 bytes of a
 * file around them, or the whole of a shorter file.
 */
function isContent(stored: Buffer, at: number, files: readonly Buffer[]): boolean {
  const run = stored.subarray(at, at + 8)
  return files.some((file) => {
    for (let found = file.indexOf(run); found >= 0; found = file.indexOf(run, found + 1)) {
      const start = Math.max(0, Math.min(found, file.length - WINDOW))
      const expected = file.subarray(start, start + WINDOW)
      const first = at - (found - start)
      if (first >= 0 && stored.subarray(first, first + expected.length).equals(expected)) return true
    }
    return false
  })
}

describe.each(['scoped', 'global', 'off'] as const)('a reader of storage wants content, dedup %s', (dedup) => {
  it('finds no run of content, no name and no password', async () => {
    const tree = makeTree()
    const keyset = await quickKeyset({ dedup })
    const store = folderStore(join(newFolder(), 'store'))
    await saveKeyset(store.state, keyset)
    const writer = openWriter(keyset.export('host'))
    const index = new BackupLog(openLog(store.state, BACKUPS, writer))
    await backUp(tree, { writer, index, pack: true, blocks: store.blocks, onProblem: (line) => expect.fail(line) })

    // Every 8-byte run of small files; in large files, one at every 4,096th byte.
    const runs: Set<bigint> = new Set()
    const files = filesIn(tree).map((path) => readFileSync(path))
    for (const bytes of files) {
      const step = bytes.length > 100_000 ? 4096 : 1
      for (let at = 0; at + 8 <= bytes.length; at += step) runs.add(bytes.readBigUInt64LE(at))
    }
    expect(runs.size).toBeGreaterThan(20_000)
    const words = [
      PASSWORD,
      ...NAMES,
      'looks like a folder',
      'empty folder',
      'dangling link',
      '/nowhere/at/all',
    ].flatMap((word) => [
      Buffer.from(word),
      Buffer.from(word, 'utf16le'),
      Buffer.from(Buffer.from(word).toString('base64')),
    ])
    let scanned = 0
    for (const path of filesIn(store.address)) {
      const bytes = readFileSync(path)
      for (const word of words) if (word.length >= 8) expect(bytes.includes(word), path).toBe(false)
      const scannable = Math.min(bytes.length, 1_000_000)
      for (let at = 0; at + 8 <= scannable; at++) {
        if (runs.has(bytes.readBigUInt64LE(at)) && isContent(bytes, at, files))
          expect.fail(`${path} holds content at ${at}`)
      }
      scanned += scannable
    }
    expect(scanned).toBeGreaterThan(1_000_000)
  })
})

describe('a reader of storage wants the password', () => {
  /** Counts Argon2id hashes, with the costs that were asked for and the salts. */
  async function counted<T>(body: () => Promise<T>) {
    const hashes: { costs: Argon2Costs; salt: string }[] = []
    const backend: typeof quick = {
      ...quick,
      argon2id: (password, salt, costs, length, wait) => {
        hashes.push({ costs: { ...costs }, salt: hex(salt) })
        return quick.argon2id(password, salt, costs, length, wait)
      },
    }
    await withBackend(backend, body)
    return hashes
  }
  const DEFAULT = { iterations: 3, memoryKiB: 65_536 }

  it('pays one Argon2id hash of 64 MiB for each guess, with a salt of each keyset', async () => {
    const [one, two] = await quickly(async () => [await createKeyset(PASSWORD), await createKeyset(PASSWORD)] as const)
    const salts: Set<string> = new Set()
    for (const keyset of [one, two]) {
      for (const to of ['host', 'definition', 'storage'] as const) {
        for (const guess of ['a guess', PASSWORD]) {
          const hashes = await counted(async () => {
            const unlocking = () => unlockKeyset(keyset.export(to), guess)
            if (guess === PASSWORD) await unlocking()
            else await failure(unlocking, 'wrong-password')
          })
          expect(hashes.map(({ costs }) => costs)).toEqual([expect.objectContaining(DEFAULT)])
          salts.add(hashes[0]!.salt)
        }
      }
    }
    expect(salts.size).toBe(2)
  })

  it('pays one for each guess of a typed key, and cannot use it for another account or another realm', async () => {
    const salts: Set<string> = new Set()
    const names = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
    for (const other of [{}, { account: 'other' }, { realm: 'others' }]) {
      const hashes = await counted(() =>
        deriveClient({ ...names, ...other, privateKey: { type: 'AES-256', text: 'a guess' } }),
      )
      expect(hashes.map(({ costs }) => costs)).toEqual([expect.objectContaining(DEFAULT)])
      salts.add(hashes[0]!.salt)
    }
    expect(salts.size).toBe(3)
  })
})
