// DES in CBC mode (FIPS 46-3, SP 800-38A), for data that is already under it: 56 bits are searched through in a day, and blocks
// of 8 bytes repeat after some gigabytes. Natively where the platform has triple DES, which with one key thrice is DES.
import { SecretKey, wiping } from '../core/secret.ts'
import { concat, EMPTY, equalBytes, toHex, u8, utf8, wipe } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { derive } from '../primitives/kdf.ts'
import { nodeCrypto } from '../primitives/node-crypto.ts'

/** Encrypts or decrypts whole blocks in place, without padding. */
export type DesCbc = (way: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, buffer: Uint8Array) => void

const CHUNK = 64 * 1024

/** Node's own, where OpenSSL or BoringSSL has it and nothing (FIPS mode) forbids it. */
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
 * des.js, an optional peer.
 * @throws KeystrataError `unsupported` where it is not installed, or does not work
 */
export async function portableDes(): Promise<DesCbc> {
  try {
    // @ts-expect-error It brings no types.
    const { CBC, DES } = ((await import('des.js')) as DesJs).default
    const Cbc = CBC.instantiate(DES)
    return checkedDes((type, key, iv, buffer) => {
      const cipher = new Cbc({ type, key, iv, padding: false })
      inChunks(
        buffer,
        (chunk) => Uint8Array.from(cipher.update(chunk)),
        () => Uint8Array.from(cipher.final()),
      )
    })
  } catch {
    const message = 'this platform has no DES, and the package des.js is not there, or does not work: install it'
    throw new KeystrataError('unsupported', message, { package: 'des.js' })
  }
}

/** What this uses of des.js, which brings no types. */
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

/** What comes out may lag behind what goes in. */
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

/** One that gives the first block of the example for CBC in FIPS 81, appendix C, and takes it back. */
function checkedDes(des: DesCbc): DesCbc {
  const block = utf8('Now is t')
  des('encrypt', KEY, IV, block)
  if (toHex(block) !== 'e5c7cdde872bf27c') throw new Error('not DES')
  des('decrypt', KEY, IV, block)
  if (!equalBytes(block, utf8('Now is t'))) throw new Error('not DES')
  return des
}

/** The fastest DES of this platform. @throws KeystrataError `unsupported` */
export async function findDes(): Promise<DesCbc> {
  return nativeDes() ?? portableDes()
}

/** Without their parity bits: what the weak keys and the semi-weak ones are made of (SP 800-67 §3.3.2). */
const HALVES = [
  [0x00, 0x00],
  [0x1e, 0x0e],
  [0xe0, 0xf0],
  [0xfe, 0xfe],
] as const

/** The four weak keys and the twelve semi-weak ones, under which DES undoes itself or another of them. */
const WEAK_KEYS: readonly (readonly number[])[] = HALVES.flatMap(([a, a2]) =>
  HALVES.map(([b, b2]) => [a, b, a, b, a2, b2, a2, b2]),
)

/** Whether a key of 8 bytes is one of the sixteen. DES looks at 7 bits of each byte, and so does this; it keeps no copy. */
export function isWeakDesKey(key: Uint8Array): boolean {
  return WEAK_KEYS.some((weak) => weak.reduce((found, byte, at) => found | (byte ^ ((key[at] ?? 0) & 0xfe)), 0) === 0)
}

/** The DES key of a typed key: the first candidate that is not weak. */
export function deriveDesKey(key: SecretKey<'client'>): SecretKey<'cipher'> {
  for (let counter = 0; counter < 256; counter++) {
    const bytes = derive(key, EMPTY, 'des-key', [u8(counter)], 8)
    if (!isWeakDesKey(bytes)) return SecretKey.take('cipher', bytes)
    wipe(bytes)
  }
  throw new RangeError('no key of 256 that is not weak')
}
