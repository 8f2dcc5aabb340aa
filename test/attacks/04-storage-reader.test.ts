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

describe.each(['scoped', 'global', 'off'] as const)('a reader of storage wants content, dedup %s', (dedup) => {
  it('finds no 8-byte run of content, no name and no password', async () => {
    const tree = makeTree()
    const keyset = await quickKeyset({ dedup })
    const store = folderStore(join(newFolder(), 'store'))
    await saveKeyset(store.state, keyset)
    const writer = openWriter(keyset.export('host'))
    const index = new BackupLog(openLog(store.state, BACKUPS, writer))
    await backUp(tree, { writer, index, pack: true, blocks: store.blocks, onProblem: (line) => expect.fail(line) })

    // Every 8-byte run of small files; in large files, one at every 4,096th byte.
    const runs: Set<bigint> = new Set()
    for (const path of filesIn(tree)) {
      const bytes = readFileSync(path)
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
        if (runs.has(bytes.readBigUInt64LE(at))) expect.fail(`${path} holds content at ${at}`)
      }
      scanned += scannable
    }
    expect(scanned).toBeGreaterThan(1_000_000)
  })
})
