// What to search memory for: the bytes of keys, and every text that such bytes are usually written as.

/** A secret that a process had and should have no longer. */
export interface Secret {
  /** The role of its SecretKey, or `ephemeral` for the private key of one key agreement. */
  readonly role: string
  readonly hex: string
  /** The line of code that made it. */
  readonly site: string
}

export type Encoding = 'bytes' | 'hex' | 'base64' | 'base64url'

/** A part of a secret in one encoding. */
export interface Needle {
  /** The number of the secret in its list. */
  readonly secret: number
  readonly encoding: Encoding
  /** Where this part begins in the encoded secret. */
  readonly offset: number
  readonly part: Buffer
}

/**
 * Parts are short, because whoever frees memory may overwrite the beginning of a copy. No two secrets share 16 bytes by
 * chance. Keys of DES are shorter than that.
 */
const PART = 16

/**
 * The longest key. What is longer is hashed with random bytes in front, and holds public keys too: only its beginning is
 * searched for.
 */
const LONGEST = 64

const partsOf = (secret: number, encoding: Encoding, whole: Buffer): Needle[] => {
  const parts: Needle[] = []
  const length = Math.min(PART, whole.length)
  for (let offset = 0; offset + length <= whole.length; offset += length) {
    parts.push({ secret, encoding, offset, part: whole.subarray(offset, offset + length) })
  }
  return parts
}

/** Returns what base64 makes of these bytes when they stand behind `before` other bytes, as far as it depends on them. */
function base64Behind(before: number, bytes: Buffer, encoding: 'base64' | 'base64url'): Buffer {
  const text = Buffer.concat([Buffer.alloc(before), bytes]).toString(encoding)
  return Buffer.from(text.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + bytes.length)) / 6)), 'latin1')
}

/** Returns the parts to search for. Strings of bytes, as `latin1` gives them, look like the bytes. */
export function needlesOf(secrets: readonly Secret[]): Needle[] {
  return secrets.flatMap(({ hex }, index) => {
    const bytes = Buffer.from(hex, 'hex').subarray(0, hex.length > 2 * LONGEST ? 32 : undefined)
    const texts = ([0, 1, 2] as const).flatMap((before) => [
      ...partsOf(index, 'base64', base64Behind(before, bytes, 'base64')),
      ...partsOf(index, 'base64url', base64Behind(before, bytes, 'base64url')),
    ])
    return [
      ...partsOf(index, 'bytes', bytes),
      ...partsOf(index, 'hex', Buffer.from(bytes.toString('hex'), 'latin1')),
      ...texts,
    ]
  })
}

/** Where a secret was found. One copy has one base, although several of its parts were found. */
export interface Found {
  readonly secret: number
  readonly encoding: Encoding
  readonly base: number
}

/** Searches for many needles at once. */
export class Searcher {
  readonly #firsts = new Uint8Array(65_536)
  readonly #byStart: Map<number, Needle[]> = new Map()

  constructor(needles: readonly Needle[]) {
    for (const needle of needles) {
      this.#firsts[needle.part.readUInt16LE()] = 1
      const start = needle.part.readUInt32LE()
      this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), needle])
    }
  }

  /** Calls `report` for each part in `memory`, whose first byte has this address. */
  search(memory: Buffer, address: number, report: (found: Found) => void): void {
    const firsts = this.#firsts
    for (let at = 0; at + 4 <= memory.length; at++) {
      if (firsts[memory[at]! | (memory[at + 1]! << 8)] === 0) continue
      for (const { part, secret, encoding, offset } of this.#byStart.get(memory.readUInt32LE(at)) ?? []) {
        if (memory.length - at < part.length || part.compare(memory, at, at + part.length) !== 0) continue
        report({ secret, encoding, base: address + at - offset })
      }
    }
  }
}

/** Returns every copy once. Text without `+` and `/` is the same in both alphabets. */
export function copiesOf(found: readonly Found[]): Found[] {
  const copies: Map<string, Found> = new Map()
  for (const each of found) copies.set(`${each.secret} ${each.encoding.slice(0, 6)} ${each.base}`, each)
  return [...copies.values()]
}
