// How the documents are set: line length, pictures that a package page can show, and the files that they name.
// docs/links.test.ts checks links.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { documents, root } from './docs/guide.ts'

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const { files } = JSON.parse(textOf('package.json')) as { files: string[] }

/** Returns the lines of prose: without code, tables, headings, and lines that are one long link. */
const proseIn = (text: string): string[] =>
  text
    .replaceAll(/^```.*?^```/gms, '')
    .split('\n')
    .filter((line) => !/^(\||#)/.test(line) && !/^\S*\]\(\S+\)\S*$/.test(line.trim()))

describe.each(documents)('%s', (document) => {
  const text = textOf(document)

  it('wraps its prose at 100 columns', () => {
    expect(proseIn(text).filter((line) => Array.from(line).length > 100)).toEqual([])
  })

  it('shows only pictures that are in the package', () => {
    const pictures = [...text.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, link = '']) =>
      relative(root, join(root, dirname(document), link)),
    )
    const isPacked = (path: string) => files.some((entry) => path === entry || path.startsWith(`${entry}/`))
    expect(pictures.filter((path) => !isPacked(path))).toEqual([])
  })
})

describe('ARCHITECTURE.md', () => {
  it('names files that exist', () => {
    const text = textOf('ARCHITECTURE.md')
    const rooms = readdirSync(join(root, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
    const named = [...text.matchAll(/`((?:src|test|bench)\/[\w./-]+|[\w./-]+\/[\w.-]+\.ts)`/g)]
      .map(([, name = '']) => name)
      .map((name) => (rooms.includes(name.split('/')[0]!) && name.endsWith('.ts') ? `src/${name}` : name))
    expect(named.length).toBeGreaterThan(60)
    expect(named.filter((name) => !existsSync(join(root, name)))).toEqual([])
  })
})

describe('test/attacks', () => {
  const files = readdirSync(join(root, 'test/attacks'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => name.replace('.test.ts', ''))
  const rows = [...textOf('test/attacks/README.md').matchAll(/^\| (\d+) \|.*$/gm)]

  it('README.md has one row for each number, in order, and each row names its file', () => {
    expect(rows.map(([, number]) => Number(number))).toEqual(rows.map((_, index) => index + 1))
    const named = rows.map(([row]) => /`(\d\d-[\w-]+)`/.exec(row)?.[1])
    expect([...new Set(named)].sort()).toEqual([...files].sort())
  })

  it('README.md names other tests that exist', () => {
    const more = rows.flatMap(([row]) =>
      [
        ...row
          .split(' | ')
          .at(-1)!
          .matchAll(/`([\w/-]+)`/g),
      ].map(([, name]) => name!),
    )
    expect(more.length).toBeGreaterThan(30)
    const found = (name: string) => existsSync(join(root, `test/${name}${name.endsWith('/') ? '' : '.test.ts'}`))
    expect(more.filter((name) => !found(name))).toEqual([])
  })

  it('is named by the threat model, file by file', () => {
    const table = textOf('docs/threat-model.md').split('## Who can do what')[0]!
    const numbers = [...table.matchAll(/\| (\d[\d, -]*) \|$/gm)].flatMap(([, cell = '']) => cell.split(', '))
    const expected = files.map((name) => /^[\d-]*\d/.exec(name)![0])
    expect([...new Set(numbers)].sort()).toEqual(expected.sort())
  })
})
