// Creates a folder with one of each thing that a backup can find.
import { chmodSync, lutimesSync, mkdirSync, mkdtempSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sample } from '../fixtures.ts'

export const NAMES: readonly string[] = [
  'ascii.txt',
  'Übergröße.txt',
  '数据.bin',
  'файл',
  'e\u0301-decomposed',
  '🗝️ keys',
  ' leading space',
  '-dash',
  'two\nlines',
  '__proto__',
]

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'keystrata-test-'))
}

/** Creates the folder and returns its path. */
export function makeTree(): string {
  const root = join(newFolder(), 'source')
  mkdirSync(join(root, 'empty folder'), { recursive: true })
  mkdirSync(join(root, 'deep', 'deeper', 'deepest'), { recursive: true })
  writeFileSync(join(root, 'empty file'), '')
  NAMES.forEach((name, index) => writeFileSync(join(root, 'deep', name), sample(5000 + index, index + 1)))
  writeFileSync(join(root, 'deep', 'medium'), sample(1_200_000, 55))
  writeFileSync(join(root, 'large'), sample(8 * 1024 * 1024 + 4321, 77))
  writeFileSync(join(root, 'large copy'), sample(8 * 1024 * 1024 + 4321, 77))
  // A file whose content looks like an index, to check that it is never read as one.
  writeFileSync(
    join(root, 'deep', 'deeper', 'looks like a folder'),
    '\u0001[{"name":"../evil","type":"file","size":0,"refs":[]}]',
  )
  symlinkSync('deep/ascii.txt', join(root, 'link'))
  symlinkSync('/nowhere/at/all', join(root, 'dangling link'))
  symlinkSync('deep', join(root, 'link to folder'))
  chmodSync(join(root, 'deep', 'ascii.txt'), 0o640)
  chmodSync(join(root, 'large'), 0o755)
  chmodSync(join(root, 'empty file'), 0o444)
  for (const name of ['empty file', 'large', join('deep', 'ascii.txt')])
    utimesSync(join(root, name), 1_000_000, 1_234_567.891)
  lutimesSync(join(root, 'link'), 1_000_000, 1_111_111)
  utimesSync(join(root, 'deep', 'deeper'), 1_000_000, 999_999)
  chmodSync(join(root, 'deep', 'deeper', 'deepest'), 0o500)
  return root
}
