// Links between the project's documents, and the files of the source that they name, exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { guides } from './guide.ts'

const root = join(import.meta.dirname, '../..')

const documents = [
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'test/attacks/README.md',
  ...guides.map((guide) => `docs/${guide}`),
]

const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Returns the text of a document without its blocks of code. */
const proseOf = (path: string) => read(path).replaceAll(/^```.*?^```$/gms, '')

/** Returns the anchors that GitHub gives to the headings of a document. */
const anchorsOf = (path: string) =>
  [...proseOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** Returns the links of a document into the project that lead nowhere. */
function deadLinks(path: string): string[] {
  const targets = [...proseOf(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false
    const [file = '', anchor] = target.split('#')
    const linked = file === '' ? path : relative(root, resolve(root, dirname(path), file))
    if (!existsSync(join(root, linked))) return true
    return anchor !== undefined && !anchorsOf(linked).includes(anchor)
  })
}

describe('documents', () => {
  it('have links', () => {
    expect(documents.flatMap((path) => [...proseOf(path).matchAll(/\]\(/g)]).length).toBeGreaterThan(20)
  })

  it.each(documents)('%s has links that lead somewhere', (path) => {
    expect(deadLinks(path)).toEqual([])
  })

  it('ARCHITECTURE.md names files that exist', () => {
    const text = read('ARCHITECTURE.md')
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
  const rows = [...read('test/attacks/README.md').matchAll(/^\| (\d+) \|.*$/gm)]

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
    const table = read('docs/threat-model.md').split('## Who can do what')[0]!
    const numbers = [...table.matchAll(/\| (\d[\d, -]*) \|$/gm)].flatMap(([, cell = '']) => cell.split(', '))
    const expected = files.map((name) => /^[\d-]*\d/.exec(name)![0])
    expect([...new Set(numbers)].sort()).toEqual(expected.sort())
  })
})
