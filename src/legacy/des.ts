// DES in CBC mode (FIPS 46-3, SP 800-38A), for data that is already under it: 56 bits are searched through in a day, and blocks
// of 8 bytes repeat after some gigabytes. Natively where the platform has triple DES, which with one key thrice is DES.
import { type Bytes, concat, EMPTY, toHex, u8, utf8, wipe } from '../bytes.ts'
import { KeystrataError } from '../errors.ts'
import { derive } from '../primitives/kdf.ts'
import { nodeCrypto } from '../primitives/node-crypto.ts'
import { SecretKey } from '../secret.ts'

/** Encrypts or decrypts whole blocks in place, without padding. */
export type DesCbc = (way: 'encrypt' | 'decrypt', key: Uint8Array, iv: Uint8Array, buffer: Uint8Array) => void

const CHUNK = 64 * 1024

/** Node's own, where OpenSSL or BoringSSL has it and nothing (FIPS mode) forbids it. */
export function nativeDes(crypto: ReturnType<typeof nodeCrypto> = nodeCrypto()): DesCbc | undefined {
  if (crypto === undefined) return undefined
  const des: DesCbc = (way, key, iv, buffer) => {
    const threefold = concat(key, key, key)
    try {
      const create = way === 'encrypt' ? crypto.createCipheriv : crypto.createDecipheriv
      const cipher = create('des-ede3-cbc', threefold, iv)
      cipher.setAutoPadding(false)
      inChunks(buffer, (chunk) => cipher.update(chunk))
      cipher.final()
    } finally {
      wipe(threefold)
    }
  }
  try {
    return isDes(des) ? des : undefined
  } catch {
    return undefined
  }
}

/** des.js, an optional peer. @throws KeystrataError `unsupported` where it is not installed */
export async function portableDes(
  // @ts-expect-error It brings no types.
  load: () => Promise<DesJs> = () => import('des.js') as Promise<DesJs>,
): Promise<DesCbc> {
  let library: DesJs['default']
  try {
    library = (await load()).default
  } catch {
    throw new KeystrataError('unsupported', 'this platform has no DES: install the package des.js beside keystrata', {
      package: 'des.js',
    })
  }
  const Cbc = library.CBC.instantiate(library.DES)
  return (type, key, iv, buffer) => {
    const cipher = new Cbc({ type, key, iv, padding: false })
    inChunks(
      buffer,
      (chunk) => Uint8Array.from(cipher.update(chunk)),
      () => Uint8Array.from(cipher.final()),
    )
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

/** The first block of the example for CBC in FIPS 81, appendix C. */
function isDes(des: DesCbc): boolean {
  const block = utf8('Now is t')
  des('encrypt', KEY, IV, block)
  return toHex(block) === 'e5c7cdde872bf27c'
}

/** The fastest DES of this platform. @throws KeystrataError `unsupported` */
export async function findDes(): Promise<DesCbc> {
  return nativeDes() ?? portableDes()
}

/** The four weak keys and the twelve semi-weak ones (SP 800-67 §3.3.2), under which DES undoes itself or another of them. */
const WEAK_KEYS: ReadonlySet<string> = new Set([
  ...['0000000000000000', 'fefefefefefefefe', 'e0e0e0e0f0f0f0f0', '1e1e1e1e0e0e0e0e'],
  ...['001e001e000e000e', '1e001e000e000e00', '00e000e000f000f0', 'e000e000f000f000'],
  ...['00fe00fe00fe00fe', 'fe00fe00fe00fe00', '1ee01ee00ef00ef0', 'e01ee01ef00ef00e'],
  ...['1efe1efe0efe0efe', 'fe1efe1efe0efe0e', 'e0fee0fef0fef0fe', 'fee0fee0fef0fef0'],
])

/** Whether a key of 8 bytes is one of the sixteen. DES looks at 7 bits of each byte, and so does this. */
export function isWeakDesKey(key: Uint8Array): boolean {
  return WEAK_KEYS.has(toHex(key.map((byte) => byte & 0xfe)))
}

/** The DES key of a typed key: the first that is not weak. @param candidate for tests alone */
export function deriveDesKey(
  key: SecretKey<'client'>,
  candidate: (counter: number) => Bytes = (counter) => derive(key, EMPTY, 'des-key', [u8(counter)], 8),
): SecretKey<'cipher'> {
  for (let counter = 0; counter < 256; counter++) {
    const bytes = candidate(counter)
    if (!isWeakDesKey(bytes)) return SecretKey.take('cipher', bytes)
    wipe(bytes)
  }
  throw new RangeError('no key of 256 that is not weak')
}
