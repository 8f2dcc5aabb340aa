// The links of the documents lead somewhere, and the check of the site (site.ts) finds those that do not.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { brokenLinksIn } from './links.ts'
import { documents, root } from './guide.ts'

/** Returns what the links and pictures of a document name, outside of its code. */
const linksIn = (text: string) =>
  [...text.replaceAll(/^```.*?^```|`[^`\n]*`/gms, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)

/** Returns the anchors of a document's headings, as GitHub makes them. */
const anchorsIn = (text: string) =>
  [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )

describe('the documents', () => {
  // The site can show a file, but not a folder.
  it.each(documents)('%s links to files and headings that exist', (document) => {
    const text = readFileSync(join(root, document), 'utf8')
    const relative = linksIn(text).filter((link) => !/^[a-z]+:/.test(link))
    const broken = relative.filter((link) => {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? join(root, document) : join(root, dirname(document), path)
      if (statSync(target, { throwIfNoEntry: false })?.isFile() !== true) return true
      return anchor !== undefined && !anchorsIn(readFileSync(target, 'utf8')).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

describe('the check of the site', () => {
  it('finds links to missing pages, places and pictures', () => {
    const folder = mkdtempSync(join(tmpdir(), 'keystrata-site-'))
    try {
      mkdirSync(join(folder, 'a'))
      writeFileSync(join(folder, 'picture.svg'), '')
      writeFileSync(join(folder, 'index.html'), '<h1 id="top"></h1><a href="a/b.html"></a><a href="https://x.y/z">')
      writeFileSync(
        join(folder, 'a/b.html'),
        '<a href="#here" id="here"></a><a href="../index.html#top"></a><img src="../picture.svg?1"/>' +
          '<a href="../index.html#gone"></a><a href="c.html"></a><img alt="" src="../gone.png"/>',
      )
      const links = ['../index.html#gone', 'c.html', '../gone.png']
      expect(brokenLinksIn(folder)).toEqual(links.map((link) => ({ page: join('a', 'b.html'), link })))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('refuses a folder without pages', () => {
    const folder = mkdtempSync(join(tmpdir(), 'keystrata-site-'))
    expect(() => brokenLinksIn(folder)).toThrow('no pages')
    rmSync(folder, { recursive: true })
  })
})
