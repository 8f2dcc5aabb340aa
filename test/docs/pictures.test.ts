// The pictures in docs/pictures show on a package page: each is well-formed, self-contained SVG, and its names are those of
// SPEC.md.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'docs/pictures')
const spec = readFileSync(join(root, 'SPEC.md'), 'utf8').replaceAll('`', '').replaceAll(/\s+/g, ' ')

interface Element {
  name: string
  attributes: Readonly<Record<string, string>>
  /** The elements around it, the outermost first. */
  around: readonly Element[]
  text: string
}

/**
 * Returns the elements of an XML document without comments, processing instructions and CDATA.
 * @throws Error if it is not well-formed
 */
function elementsOf(xml: string): Element[] {
  const elements: Element[] = []
  const open: Element[] = []
  let at = 0
  for (const token of xml.matchAll(/<(\/?)([a-z]\w*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gi)) {
    if (token.index !== at) throw new Error(`not well-formed: ${xml.slice(at, at + 40)}`)
    at += token[0].length
    const [, closing, name, attributes = '', empty, text] = token
    if (/&(?!(?:amp|lt|gt|quot|apos);)/.test(token[0])) throw new Error(`a bare ampersand: ${token[0]}`)
    if (text !== undefined) {
      const within = open.at(-1)
      if (within === undefined && text.trim() !== '') throw new Error(`text outside of elements: ${text}`)
      if (within) within.text += text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
    } else if (closing === '/') {
      if (open.pop()?.name !== name) throw new Error(`closes what is not open: ${token[0]}`)
    } else {
      const pairs = [...attributes.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!] as const)
      if (new Set(pairs.map(([key]) => key)).size !== pairs.length) throw new Error(`an attribute twice: ${token[0]}`)
      const element = { name: name!, attributes: Object.fromEntries(pairs), around: [...open], text: '' }
      if (open.length === 0 && elements.length > 0) throw new Error('more than one root')
      elements.push(element)
      if (empty !== '/') open.push(element)
    }
  }
  if (at !== xml.length || open.length > 0) throw new Error('the document ends too early')
  return elements
}

/** An attribute of an element, or of the nearest element around it that has it. */
const inherited = ({ attributes, around }: Element, name: string): string | undefined =>
  [...around.map((each) => each.attributes), attributes].reverse().find((each) => name in each)?.[name]

const pictures = readdirSync(folder).map((name) => {
  const xml = readFileSync(join(folder, name), 'utf8')
  return { name, xml, elements: elementsOf(xml) }
})

const ALLOWED = ['svg', 'title', 'desc', 'defs', 'marker', 'g', 'rect', 'path', 'text']

describe('the pictures', () => {
  it('are one for each key model, and one of a block', () => {
    expect(pictures.map(({ name }) => name)).toEqual(['block.svg', 'client.svg', 'keyset.svg', 'vault.svg'])
  })

  it.each(pictures)('$name is plain SVG that loads nothing and runs nothing', ({ xml, elements }) => {
    expect(Buffer.byteLength(xml)).toBeLessThan(8 * 1024)
    for (const { name, attributes } of elements) {
      expect(ALLOWED).toContain(name)
      for (const [key, value] of Object.entries(attributes)) {
        expect(key).not.toMatch(/^on|href|style|class|xmlns:/i)
        if (key !== 'xmlns') expect(value).not.toMatch(/:\/\/|^\s*(data|javascript):/i)
        if (value.includes('url(')) expect(value).toBe('url(#a)')
      }
    }
    const markers = elements.filter(({ name }) => name === 'marker').map(({ attributes }) => attributes['id'])
    expect(markers).toEqual(['a'])
  })

  it.each(pictures)('$name says what it shows, and can be read on every background', ({ elements }) => {
    const [svg] = elements
    const { viewBox, width, height, xmlns, role, 'aria-labelledby': labelled, 'font-family': font } = svg!.attributes
    expect([svg!.name, xmlns, role, width]).toEqual(['svg', 'http://www.w3.org/2000/svg', 'img', '760'])
    expect(viewBox).toBe(`0 0 ${width} ${height}`)
    const described = elements.filter(({ name }) => name === 'title' || name === 'desc')
    expect(described.map(({ attributes }) => attributes['id']).join(' ')).toBe(labelled)
    for (const { text } of described) expect(text.length).toBeGreaterThan(20)
    expect(font).toMatch(/sans-serif$/)
    const background = elements.find(({ name }) => name === 'rect')!
    expect(background.attributes).toEqual({ width, height, fill: '#fff' })
  })

  it.each(pictures)('$name has its texts inside', ({ elements }) => {
    const [svg] = elements
    const texts = elements.filter(({ name }) => name === 'text')
    expect(texts.length).toBeGreaterThan(15)
    for (const each of texts) {
      const [x, y] = [Number(each.attributes['x']), Number(each.attributes['y'])]
      // A character of a wide sans-serif font takes 0.6 of the size on average.
      const width = each.text.length * 0.6 * Number(inherited(each, 'font-size'))
      const left = { start: x, middle: x - width / 2, end: x - width }[inherited(each, 'text-anchor') ?? 'start']!
      expect(left, each.text).toBeGreaterThan(0)
      expect(left + width, each.text).toBeLessThan(760)
      expect(y).toBeLessThan(Number(svg!.attributes['height']))
    }
  })

  it.each(pictures)('$name has the names of SPEC.md', ({ elements }) => {
    // Names are bold. Other texts explain them.
    const names = elements
      .filter((each) => each.name === 'text' && inherited(each, 'font-weight') === 'bold')
      .flatMap(({ text }) => text.split(/, | or$/).filter((name) => name !== ''))
    expect(names.length).toBeGreaterThan(2)
    const isInSpec = (name: string) => {
      const escaped = name.replaceAll(/[^\w\s']/g, '\\$&')
      return new RegExp(`(?<!\\w)${escaped}(?!\\w)`, name.length === 1 ? '' : 'i').test(spec)
    }
    expect(names.filter((name) => !isInSpec(name))).toEqual([])
  })
})

describe('the check of pictures', () => {
  it.each([
    ['an element that is not closed', '<svg><g></svg>'],
    ['a bare ampersand', '<svg><text>a & b</text></svg>'],
    ['two roots', '<svg></svg><svg></svg>'],
    ['an attribute twice', '<svg a="1" a="2"></svg>'],
    ['an attribute without quotes', '<svg a=1></svg>'],
    ['an end that is missing', '<svg>'],
  ])('refuses %s', (_, xml) => {
    expect(() => elementsOf(xml)).toThrow()
  })
})
