// Row 4. The reader has every byte of a repository that a whole backup wrote. The test scans it for any run of
// content.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backUp } from '../../examples/backup.ts'
import { folderStore } from '../../examples/backup-store.ts'
import { BackupLog, BACKUPS } from '../../examples/backup-log.ts'
import { openLog, openWriter, saveKeyset } from '../../src/index.ts'
import { PASSWORD } from '../fixtures.ts'
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
