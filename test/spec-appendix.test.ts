// The appendices of SPEC.md say what the library and the vectors do: no object, label, file or field is missing, and every
// value can be computed again. The values come from the second reader and node:crypto, not from src/.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ObjectType } from '../src/core/header.ts'
import { Suite } from '../src/core/suite.ts'
import { namesIn, readText } from './files.ts'
import { hex } from './fixtures.ts'
import { labelsOf } from './labels-in-src.ts'
import { blockValues, recordValues, type Values, vaultValues, vectorIn } from './spec-appendix.ts'
import { openKeyset, type Pair } from './spec-reader.ts'
import { readCard } from './spec-reader-vault.ts'
import { readers, sized } from './spec-sizes.ts'

const spec = readFileSync(join(import.meta.dirname, '../SPEC.md'), 'utf8')
const [body, appendices] = spec.split(/^# Appendices$/m) as [string, string]

/** Returns what stands under the heading that begins like this, before the next one of its level or above. */
function under(heading: string, text = appendices): string {
  const start = [...text.matchAll(/^(#+) (.*)$/gm)].find(([, , title]) => title!.startsWith(heading))
  if (start === undefined) throw new Error(`SPEC.md has no heading ${heading}`)
  const rest = text.slice(start.index + start[0].length)
  const end = rest.search(new RegExp(`^#{1,${start[1]!.length}} `, 'm'))
  return end < 0 ? rest : rest.slice(0, end)
}

/** Returns a text without its line ends. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')

/** Returns the rows of the tables in a text as records, by the names in the first row. */
function rowsIn(text: string): Record<string, string>[] {
  return [...text.matchAll(/(?:^\|.*\n)+/gm)].flatMap(([table]) => {
    const cells = table
      .trim()
      .split('\n')
      .map((line) => line.split('|').slice(1, -1))
    const [names, , ...rows] = cells.map((row) => row.map((cell) => cell.trim()))
    for (const row of rows) expect(row).toHaveLength(names!.length)
    return rows.map((row) => Object.fromEntries(row.map((cell, i) => [names![i]!, cell])))
  })
}

const sectionOf = (number: string): string => under(number.includes('.') ? `${number} ` : `${number}. `, body)

describe('appendix A', () => {
  const rows = rowsIn(under('A. '))
  const keyOf = (row: Record<string, string>) => `${row['type']} ${row['suite']} ${row['object']}`

  it('has every type and every suite of the library, and no others', () => {
    const column = (name: string) => [...new Set(rows.map((row) => Number(row[name])))].sort((a, b) => a - b)
    expect(column('type')).toEqual(Object.values(ObjectType).sort((a, b) => a - b))
    const suites = Object.values(Suite).map(({ id }) => id as number)
    expect(column('suite')).toEqual(suites.sort((a, b) => a - b))
  })

  it('has a row for each object that is measured here', () => {
    expect(rows.map(keyOf)).toEqual(Object.keys(sized))
  })

  it.each(rows)('$type $suite $object has $bytes bytes', (row) => {
    const { bytes, size } = sized[keyOf(row)]!
    expect(row['bytes']).toBe(size)
    expect(bytes.toString('latin1', 0, 4)).toBe('KSTR')
    expect([bytes[5], bytes.readUInt16BE(6)]).toEqual([Number(row['type']), Number(row['suite'])])
    const none = Buffer.alloc(16)
    expect(row['keyId'] === '0¹⁶', 'keyId').toBe(bytes.subarray(16, 32).equals(none))
    expect(row['ownerId'] === '0¹⁶', 'ownerId').toBe(bytes.subarray(32, 48).equals(none))
  })

  it.each(rows.filter(({ limit }) => limit !== ''))('$type $suite $object has the limit $limit', ({ type, limit }) => {
    const number = (text: string) => Number(text.replaceAll(',', ''))
    const [, whole, unit, more = '0'] = /^([\d,]+)(?: (KiB|MiB))?(?: \+ ([\d,]+))?$/.exec(limit!)!
    const most = number(whole!) * (unit === undefined ? 1 : unit === 'KiB' ? 1024 : 1024 * 1024) + number(more)
    const read = readers[type!]!
    expect(() => read(Buffer.alloc(most))).toThrow(/^(malformed|key-not-found)$/)
    expect(() => read(Buffer.alloc(most + 1))).toThrow(/^limit-exceeded$/)
  })

  it('names a section that defines an object of the type', () => {
    for (const { type, object, '§': section } of rows)
      expect(sectionOf(section!), object).toMatch(new RegExp(`type ${type}\\b`))
  })
})

describe('appendix B', () => {
  const labelsIn = (heading: string) => rowsIn(under(heading)).map(({ label }) => /^`(.*)`$/.exec(label!)![1]!)
  const sorted = (labels: Iterable<string>) => [...new Set(labels)].sort()
  const all = labelsOf('core/bytes.ts', 'domain', 'label')
  const derived = labelsOf('primitives/kdf.ts', 'kdfInfo', 'label')
  const locks = labelsOf('core/wrap.ts', 'lockKind', 'label')
  const agreed = labelsOf('core/agreement.ts', 'prf', 'label')
  const without = (from: Set<string>, ...others: Set<string>[]) =>
    [...from].filter((label) => !others.some((each) => each.has(label)))

  it('has every label of the library, by the primitive that takes it, and no others', () => {
    expect(sorted(labelsIn('B.1 '))).toEqual(sorted(without(derived, locks)))
    expect(sorted(labelsIn('B.2 '))).toEqual(sorted(locks))
    expect(sorted(labelsIn('B.3 '))).toEqual(sorted(agreed))
    // Nothing that is stored depends on it.
    const shownOnly = 'password-id'
    expect(oneLine(under('B.4 '))).toContain(`\`${shownOnly}\` is reserved`)
    expect(sorted([...labelsIn('B.4 '), shownOnly])).toEqual(sorted(without(all, derived, agreed)))
  })

  it('has every label of the sections, and each in a section that it names', () => {
    const rows = rowsIn(under('B. '))
    const listed = rows.map(({ label, '§': section }) => ({ label: label!.slice(1, -1), section: section! }))
    for (const { label, section } of listed)
      expect(sectionOf(section), `${label} in ${section}`).toContain(`"${label}"`)
    const named = [...body.matchAll(/(?<=\bD\(|, )"([a-z0-9]+(?:[/-][a-z0-9]+)*)"/g)].map(([, label]) => label!)
    expect(named.length).toBeGreaterThan(60)
    expect(sorted(named.filter((label) => !listed.some((row) => row.label === label)))).toEqual([])
  })

  it('says how long the output of each derivation is', () => {
    for (const { label, len, '§': section } of rowsIn(under('B.1 '))) {
      const pattern = new RegExp(`"${label!.slice(1, -1)}", \\[[^\\]]*\\], (\\d+)\\)`)
      expect(pattern.exec(sectionOf(section!))?.[1], `${label} in ${section}`).toBe(len)
    }
  })
})

describe('appendix C', () => {
  const text = under('C. ')
  const COMMON = ['id', 'section', 'comment', 'expect']
  const entries = [...text.matchAll(/^#### (.*)$/gm)].map(([, heading]) => ({
    files: [...heading!.matchAll(/`([a-z-]+\.json)`/g)].map(([, name]) => name!),
    fields: [...under(heading!, text).matchAll(/^- (`.*?`(?:, `.*?`)*):/gm)].flatMap(([, names]) =>
      [...names!.matchAll(/`(.*?)`/g)].map(([, name]) => name!),
    ),
  }))

  it('names every file of vectors, and no other', () => {
    const files = namesIn('vectors').filter((name) => name.endsWith('.json'))
    expect(entries.flatMap((entry) => entry.files).sort()).toEqual(files.sort())
    const named = [...appendices.matchAll(/`([a-z-]+\.json)`/g)].map(([, name]) => name!)
    expect([...new Set(named)].sort()).toEqual(files)
  })

  it('says what every vector has', () => {
    const fields = [...under('C.1 ').matchAll(/^- `(.*?)`:/gm)].map(([, name]) => name)
    expect(fields).toEqual(COMMON)
  })

  it.each(entries)('names every field of $files, and no other', ({ files, fields }) => {
    const vectors = files.flatMap((name) => JSON.parse(readText('vectors', name)) as Record<string, unknown>[])
    const found = new Set(vectors.flatMap((vector) => Object.keys(vector)))
    for (const name of COMMON) expect(found.delete(name)).toBe(true)
    expect([...fields].sort()).toEqual([...found].sort())
  })

  it.each(entries)('says which fields of $files are optional', ({ files }) => {
    const [first = ''] = files
    if (files.length > 1) return // its fields stand in some of the files
    const vectors = JSON.parse(readText('vectors', first)) as Record<string, unknown>[]
    const entry = under(`\`${first}\``, text)
    for (const field of new Set(vectors.flatMap((vector) => Object.keys(vector)))) {
      const line = new RegExp(`^- [^:]*\`${field}\`[^:]*:((?:(?!^- ).*\n)*)`, 'm').exec(entry)?.[1] ?? ''
      const everywhere = vectors.every((vector) => field in vector)
      expect(/optional|missing where|for a ref|if there is one/i.test(line), `${first}: ${field}`).toBe(!everywhere)
    }
  })

  it('says what is in the planted keyset', () => {
    const { export: bytes, password } = vectorIn('keyset.json', 'host-full')
    expect(oneLine(text)).toContain(`The password is \`${password}\`.`)
    const read = openKeyset(Buffer.from(bytes!, 'hex'), password!)
    const [block, retired] = read.pairs
    const [adopted] = read.adopted
    const pair = (name: string, { skX, seedM }: Pick<Pair, 'skX' | 'seedM'>) => ({
      [`${name}, X25519 (32)`]: skX,
      [`${name}, ML-KEM-1024 seed (64)`]: seedM,
    })
    const share = read.shares[0] as Pair
    const values: Record<string, Buffer> = {
      'keyset id (16)': read.id,
      ...pair('block key pair', block!),
      'block salt (32)': read.blockSalt,
      'dedup key (32)': read.dedupKey,
      'source signing seed (32)': read.sourceSigning.seed,
      ...pair('sharing pair', read.sharing!),
      'card signing seed (32)': (read.cardSigning as { seed: Buffer }).seed,
      ...pair('retired pair', retired!),
      ...pair('first share', share),
      'adopted keyset id (16)': adopted!.id,
      'adopted block salt (32)': adopted!.blockSalt,
      'adopted dedup key (32)': adopted!.dedupKey,
      ...pair('adopted sharing pair', adopted!.sharing!),
      'adopted card signing seed (32)': adopted!.cardSigning!.seed,
    }
    const stated = rowsIn(under('C.1 ')).map(({ value, byte }) => {
      const size = Number(/\((\d+)\)$/.exec(value!)![1])
      return [value!, byte!.repeat(size)]
    })
    expect(Object.fromEntries(stated)).toEqual(
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.toString('hex')])),
    )
    const card = readCard(Buffer.from(vectorIn('card.json', 'good')['card']!, 'hex'))
    expect(card.pkX.equals(read.sharing!.pkX) && card.ownerId.equals(read.id)).toBe(true)
  })
})

/** Returns the text between the fences under a heading. */
const fencedUnder = (heading: string): string => /^```\n(.*?)^```$/ms.exec(under(heading))![1]!

describe('appendix D', () => {
  /** Returns the values under a heading: a name, two or more spaces, and hex that may go on in lines without a name. */
  function valuesUnder(heading: string): Record<string, string> {
    const values: Record<string, string> = {}
    let name = ''
    for (const line of fencedUnder(heading).trimEnd().split('\n')) {
      const [, named, bytes] = /^(\S.*?)? {2,}([0-9a-f]+)$/.exec(line)!
      name = named ?? name
      values[name] = (values[name] ?? '') + bytes!
    }
    return values
  }
  const asHex = (values: Values) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, hex(value)]))

  it.each([
    ['a block of a keyset', 'D.1 ', blockValues, 'block.json', 'hybrid-scoped'],
    ["a record of a keyset's log", 'D.2 ', recordValues, 'record.json', 'first'],
    ['a block of a vault', 'D.3 ', vaultValues, 'vault-block.json', '100-bytes'],
  ] as const)('has the values of %s', (_, heading, computed, file, id) => {
    expect(oneLine(under(heading))).toContain(`The vector \`${id}\` of \`${file}\``)
    expect(valuesUnder(heading)).toEqual(asHex(computed()))
  })

  it('has values that are those of the vectors', () => {
    const block = vectorIn('block.json', 'hybrid-scoped')
    const { label, P, header, epk, mask, c, ct, tag, ...of } = asHex(blockValues())
    expect(label).toBe(block['label'])
    expect(P).toBe(block['content'])
    const stored = block['block']!
    expect(stored.slice(0, 160)).toBe(header! + epk!)
    expect(stored.slice(3296)).toBe(`01${mask}${of['envelope tag']}${c}${ct}${tag}`)

    const { record } = vectorIn('record.json', 'first')
    const values = asHex(recordValues())
    const names = ['header', 'sequence', 'number', 'id', 'previous', 'epk']
    expect(record!.slice(0, 288)).toBe(names.map((name) => values[name]!).join(''))
    const last = ['n', 'c', 'ct', 'tag', 'signature'].map((name) => values[name]!)
    expect(record!.slice(288 + 2 * 1568)).toBe(last.join(''))

    const vault = vectorIn('vault-block.json', '100-bytes')
    const read = asHex(vaultValues())
    expect(vault['block']).toBe(['header', 'n', 'c', 'tag', 'ct'].map((name) => read[name]!).join(''))
    expect(vault['label']).toBe(read['label'])
  })
})

describe('appendix E', () => {
  it('has every byte of the envelope, with its offset and its field', () => {
    const lines = fencedUnder('E. ').trimEnd().split('\n')
    expect(lines.shift()).toMatch(/^offset +bytes +field$/)
    const rows = lines.map((line) => /^ *(\d+) {2}([0-9a-f]+) +(\S.*)$/.exec(line)!.slice(1))
    const envelope = vectorIn('block.json', 'x25519-scoped')['block']!.slice(0, 2 * 145)
    expect(rows.map(([, bytes]) => bytes).join('')).toBe(envelope)
    let offset = 0
    for (const [at, bytes] of rows) {
      expect(Number(at)).toBe(offset)
      offset += bytes!.length / 2
    }
    // The fields of §2 and §10.1, with their sizes.
    const table = rowsIn(sectionOf('2'))
      .filter(({ offset }) => offset !== undefined)
      .map(({ field, size }) => [field, Number(size)])
    const body = [
      ['epk', 32],
      ['mode', 1],
      ['mask', 32],
      ['tag', 32],
    ]
    expect(rows.map(([, bytes, field]) => [field!.split(',')[0], bytes!.length / 2])).toEqual([...table, ...body])
  })
})

it('the files that the appendices name exist', () => {
  for (const [, path] of appendices.matchAll(/`(test\/[\w/.-]+)`/g))
    expect(existsSync(join(import.meta.dirname, '..', path!)), path).toBe(true)
})
