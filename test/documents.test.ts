// The documents as files: line length, and links between them. What they say is tested in readme.test.ts and docs/.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { guides } from './docs/guide.ts'

const root = join(import.meta.dirname, '..')
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const documents = [
  ...['README.md', 'SPEC.md', 'SECURITY.md', 'ARCHITECTURE.md', 'CHANGELOG.md'],
  ...guides.map((name) => `docs/${name}`),
  ...['bench/README.md', 'test/attacks/README.md'],
]
const { files } = JSON.parse(textOf('package.json')) as { files: string[] }

/** Returns the lines of prose: without code, tables, headings, and lines that are one long link. */
const proseIn = (text: string): string[] =>
  text
    .replaceAll(/^```.*?^```/gms, '')
    .split('\n')
    .filter((line) => !/^(\||#)/.test(line) && !/^\S*\]\(\S+\)\S*$/.test(line.trim()))

/** The anchor that a heading gets on a package page and in the API site. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

const anchorsIn = (text: string): string[] =>
  [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))

const linksIn = (text: string): string[] =>
  [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))

/** Returns whether the package contains a file: npm adds these three, and "files" has the rest. */
const isPacked = (path: string): boolean =>
  ['README.md', 'LICENSE', 'package.json'].includes(path) ||
  files.some((entry) => path === entry || path.startsWith(`${entry}/`))

describe.each(documents)('%s', (document) => {
  const text = textOf(document)

  it('wraps its prose at 100 columns', () => {
    const long = proseIn(text).filter((line) => Array.from(line).length > 100)
    expect(long).toEqual([])
  })

  it('links only to what exists', () => {
    const dead = linksIn(text).filter((link) => {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? document : relative(root, join(root, dirname(document), path))
      if (!existsSync(join(root, target))) return true
      return anchor !== undefined && target.endsWith('.md') && !anchorsIn(textOf(target)).includes(anchor)
    })
    expect(dead).toEqual([])
  })

  it('shows only pictures that are in the package', () => {
    const pictures = [...text.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, link = '']) =>
      relative(root, join(root, dirname(document), link)),
    )
    expect(pictures.filter((path) => !isPacked(path))).toEqual([])
  })
})
