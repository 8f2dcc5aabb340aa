// DES in CBC mode (FIPS 46-3, SP 800-38A), only for existing data. DES is broken: all 56-bit keys can be tried in a
// day, and its 8-byte blocks repeat after some gigabytes. Uses the platform's triple DES where there is one: with the
// same key three times, triple DES is DES.
import { SecretKey, wiping } from '../core/secret.ts'
import { type Bytes, concat, EMPTY, equalBytes, filled, toHex, u8, utf8, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { derive } from '../primitives/kdf.ts'
import { nodeCrypto } from '../primitives/node-crypto.ts'

/** Encrypts or decrypts whole blocks in place, without padding. */
export type DesCbc = (way: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, buffer: Uint8Array) => void

const CHUNK = 64 * 1024

/**
 * Returns the DES of node:crypto. Returns undefined if OpenSSL or BoringSSL lacks it or forbids it (FIPS mode), and on
 * other platforms.
 */
export function nativeDes(): DesCbc | undefined {
  const crypto = nodeCrypto()
  if (crypto === undefined) return undefined
  const des: DesCbc = (way, key, iv, buffer) => {
    const threefold = concat(key, key, key)
    using _ = wiping(threefold)
    const create = way === 'encrypt' ? crypto.createCipheriv : crypto.createDecipheriv
    const cipher = create('des-ede3-cbc', threefold, iv)
    cipher.setAutoPadding(false)
    inChunks(buffer, (chunk) => cipher.update(chunk))
    cipher.final()
  }
  try {
    return checkedDes(des)
  } catch {
    return undefined
  }
}

/**
 * Loads DES from the package des.js, an optional peer dependency.
 * @throws KeystrataError `unsupported` if des.js is not installed or does not work
 */
export async function portableDes(): Promise<DesCbc> {
  try {
    // @ts-expect-error The package has no types.
    const { CBC, DES } = ((await import('des.js')) as DesJs).default
    const Cbc = CBC.instantiate(DES)
    return checkedDes((type, key, iv, buffer) => {
      const cipher = new Cbc({ type, key, iv, padding: false })
      inChunks(
        buffer,
        (chunk) => fromNumbers(cipher.update(chunk)),
        () => fromNumbers(cipher.final()),
      )
    })
  } catch {
    const message = 'this platform has no DES, and the package des.js is missing or does not work: install it'
    throw new KeystrataError('unsupported', message, { object: 'DES-56', package: 'des.js' })
  }
}

/** The parts of des.js that are used here. The package has no types. */
export interface DesJs {
  default: {
    DES: unknown
    CBC: {
      instantiate(cipher: unknown): new (options: {
        type: 'encrypt' | 'decrypt'
        key: Uint8Array
        iv: Uint8Array
        padding: false
      }) => {
        update(data: Uint8Array): number[]
        final(): number[]
      }
    }
  }
}

const fromNumbers = (numbers: readonly number[]): Bytes => filled(numbers.length, (index) => numbers[index] ?? 0)

/** Processes a buffer in place, chunk by chunk. The output of a cipher may lag behind its input. */
function inChunks(
  buffer: Uint8Array,
  update: (chunk: Uint8Array) => Uint8Array,
  final: () => Uint8Array = () => EMPTY,
) {
  let written = 0
  const write = (out: Uint8Array) => {
    buffer.set(out, written)
    written += out.length
    wipe(out)
  }
  for (let start = 0; start < buffer.length; start += CHUNK) write(update(buffer.subarray(start, start + CHUNK)))
  write(final())
}

const KEY = Uint8Array.of(0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef)

const IV = Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef)

/**
 * Returns `des` if it passes a self-test: the first block of the CBC example in FIPS 81, appendix C, in both
 * directions.
 */
function checkedDes(des: DesCbc): DesCbc {
  const block = utf8('Now is t')
  des('encrypt', KEY, IV, block)
  if (toHex(block) !== 'e5c7cdde872bf27c') throw new Error('not DES')
  des('decrypt', KEY, IV, block)
  if (!equalBytes(block, utf8('Now is t'))) throw new Error('not DES')
  return des
}

/**
 * Returns the fastest DES on this platform.
 * @throws KeystrataError `unsupported` if the platform has no DES and des.js is not installed
 */
export async function findDes(): Promise<DesCbc> {
  return nativeDes() ?? portableDes()
}

/** The byte pairs of which weak and semi-weak keys consist, without parity bits (SP 800-67 §3.3.2). */
const HALVES = [
  [0x00, 0x00],
  [0x1e, 0x0e],
  [0xe0, 0xf0],
  [0xfe, 0xfe],
] as const

/**
 * The 4 weak keys and the 12 semi-weak keys. For each of them, one of the 16 undoes its encryption by encrypting again.
 */
const WEAK_KEYS: readonly (readonly number[])[] = HALVES.flatMap(([a, a2]) =>
  HALVES.map(([b, b2]) => [a, b, a, b, a2, b2, a2, b2]),
)

/** Returns whether an 8-byte key is weak or semi-weak. Ignores parity bits, as DES does. Keeps no copy. */
export function isWeakDesKey(key: Uint8Array): boolean {
  return WEAK_KEYS.some((weak) => weak.reduce((found, byte, at) => found | (byte ^ ((key[at] ?? 0) & 0xfe)), 0) === 0)
}

/** Derives the DES key from a typed key: the first of 256 candidates that is not weak (SPEC §19). */
export function deriveDesKey(key: SecretKey<'client'>): SecretKey<'cipher'> {
  for (let counter = 0; counter < 256; counter++) {
    const bytes = derive(key, EMPTY, 'des-key', [u8(counter)], 8)
    if (!isWeakDesKey(bytes)) return SecretKey.take('cipher', bytes)
    wipe(bytes)
  }
  throw new RangeError('all 256 candidates for the DES key are weak')
}
