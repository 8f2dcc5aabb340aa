// Finds links and pictures of a site that lead nowhere.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

export interface BrokenLink {
  readonly page: string
  readonly link: string
}

const unescaped = (text: string) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'")

/** Returns every id in a page that a link can lead to. */
const idsIn = (html: string) => new Set([...html.matchAll(/\s(?:id|name)="([^"]*)"/g)].map(([, id]) => unescaped(id!)))

/** Returns the links and pictures of all pages in a folder that lead to no file, or to no place in a page. */
export function brokenLinksIn(folder: string): BrokenLink[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.html'))
  if (paths.length === 0) throw new Error(`${folder} has no pages`)
  const pages = new Map(paths.map((path) => [join(folder, path), readFileSync(join(folder, path), 'utf8')]))
  const ids = new Map([...pages].map(([path, html]) => [path, idsIn(html)]))
  return [...pages].flatMap(([path, html]) =>
    [...html.matchAll(/\s(?:href|src)="([^"]*)"/g)]
      .map(([, link]) => unescaped(link!))
      .filter((link) => !leadsSomewhere(path, link, ids))
      .map((link) => ({ page: relative(folder, path), link })),
  )
}

function leadsSomewhere(page: string, link: string, ids: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  // Other sites are not asked.
  if (/^[a-z]+:/.test(link)) return true
  const [path = '', anchor = ''] = decodeURI(link.replace(/\?.*?(?=#|$)/, '')).split('#')
  const target = path === '' ? page : join(dirname(page), path)
  if (!existsSync(target)) return false
  return anchor === '' || ids.get(target)?.has(anchor) !== false
}
