// How the documents are set: line length, and pictures that a package page can show. docs/links.test.ts checks links.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { guides } from './docs/guide.ts'

const root = join(import.meta.dirname, '..')
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...guides.map((name) => `docs/${name}`),
  'bench/README.md',
  'test/attacks/README.md',
]
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
