// WebCrypto for long content and for PBKDF2, portable code for the rest. Every call passes on the key, and copies what
// it reads, before it returns the promise. A buffer that is encrypted in place belongs to this library.
import { type Bytes, copyOf, wipe } from '../core/bytes.ts'
import { wiping } from '../core/secret.ts'
import type { Cbc, ContentHashes, Ctr, Gcm, Pbkdf2 } from './backend.ts'
import type { Provided } from './choice.ts'
import { portableCbc, portableContentHashes, portableCtr, portableGcm } from './portable.ts'

type Subtle = typeof crypto.subtle

const subtleCrypto = (): Subtle | undefined => (globalThis as { crypto?: { subtle?: Subtle } }).crypto?.subtle

/** Below this many bytes a call of WebCrypto takes longer than portable code. */
const WORTH_A_CALL = 8 * 1024

const PROVIDER = 'crypto.subtle'
const digestNames = { sha256: 'SHA-256', sha512: 'SHA-512' } as const

/** Returns bytes in unshared memory, which WebCrypto requires. Copies them only if they are in shared memory. */
function unshared(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : copyOf(bytes)
}

export function webContentHashes(): Provided<ContentHashes> | undefined {
  const subtle = subtleCrypto()
  if (subtle === undefined) return undefined
  const portable = portableContentHashes().part
  const digestContent: ContentHashes['digestContent'] = async (content, wanted) => {
    const digests = wanted.map(async (each) => {
      const { hash, suffix } = each
      // WebCrypto has no SHA-3, and does not hash in pieces.
      if (hash === 'sha3-256' || suffix !== undefined || content.length < WORTH_A_CALL) {
        return portable.digestContent(content, [each])
      }
      return [new Uint8Array(await subtle.digest(digestNames[hash], unshared(content)))]
    })
    return (await Promise.all(digests)).flat()
  }
  const copyAndDigest: ContentHashes['copyAndDigest'] = async (content, copy, wanted) => {
    copy.set(content)
    return digestContent(copy, wanted)
  }
  return { primitives: ['SHA-2'], provider: PROVIDER, part: { digestContent, copyAndDigest } }
}

/**
 * Returns whether WebCrypto can do this on every platform, and the text is long enough for a call. Browsers have no
 * AES-192, and disagree about IVs of unusual lengths.
 */
const isForSubtle = (key: Uint8Array, iv: Uint8Array, ivBytes: number, text: Uint8Array): boolean =>
  key.length !== 24 && iv.length === ivBytes && text.length >= WORTH_A_CALL

/**
 * Encrypts or decrypts. It passes on the key before it returns the promise. `bytes` must not change until that settles.
 */
async function run(
  subtle: Subtle,
  use: 'encrypt' | 'decrypt',
  key: Uint8Array,
  parameters: { name: string },
  bytes: Uint8Array,
): Promise<Bytes> {
  const imported = await subtle.importKey('raw', unshared(key), parameters.name, false, [use])
  return new Uint8Array(await subtle[use](parameters, imported, unshared(bytes)))
}

export function webGcm(): Provided<Gcm> | undefined {
  const subtle = subtleCrypto()
  if (subtle === undefined) return undefined
  const portable = portableGcm().part
  const parametersOf = (iv: Uint8Array, aad: Uint8Array) => ({
    name: 'AES-GCM',
    iv: copyOf(iv),
    additionalData: copyOf(aad),
  })
  const part: Gcm = {
    ...portable,
    async gcmSealContent(key, iv, aad, buffer) {
      if (!isForSubtle(key, iv, 12, buffer)) return portable.gcmSealContent(key, iv, aad, buffer)
      buffer.set(await run(subtle, 'encrypt', key, parametersOf(iv, aad), buffer.subarray(0, -16)))
    },
    async gcmOpenContent(key, iv, aad, sealed) {
      if (!isForSubtle(key, iv, 12, sealed)) return portable.gcmOpenContent(key, iv, aad, sealed)
      return run(subtle, 'decrypt', key, parametersOf(iv, aad), copyOf(sealed)).catch(refused)
    },
  }
  return { primitives: ['AES-GCM'], provider: PROVIDER, part }
}

export function webCtr(): Provided<Ctr> | undefined {
  const subtle = subtleCrypto()
  if (subtle === undefined) return undefined
  const portable = portableCtr().part
  const ctr: Ctr['ctr'] = async (key, counter, buffer) => {
    if (!isForSubtle(key, counter, 16, buffer)) return portable.ctr(key, counter, buffer)
    const parameters = { name: 'AES-CTR', counter: copyOf(counter), length: 128 }
    const result = await run(subtle, 'encrypt', key, parameters, buffer)
    buffer.set(result)
    wipe(result)
  }
  return { primitives: ['AES-CTR'], provider: PROVIDER, part: { ctr } }
}

export function webCbc(): Provided<Cbc> | undefined {
  const subtle = subtleCrypto()
  if (subtle === undefined) return undefined
  const portable = portableCbc().part
  const parametersOf = (iv: Uint8Array) => ({ name: 'AES-CBC', iv: copyOf(iv) })
  const part: Cbc = {
    async cbcEncrypt(key, iv, text) {
      if (!isForSubtle(key, iv, 16, text)) return portable.cbcEncrypt(key, iv, text)
      const copy = copyOf(text)
      using _ = wiping(copy)
      return await run(subtle, 'encrypt', key, parametersOf(iv), copy)
    },
    async cbcDecrypt(key, iv, sealed) {
      if (!isForSubtle(key, iv, 16, sealed)) return portable.cbcDecrypt(key, iv, sealed)
      return run(subtle, 'decrypt', key, parametersOf(iv), copyOf(sealed)).catch(refused)
    },
  }
  return { primitives: ['AES-CBC'], provider: PROVIDER, part }
}

export function webPbkdf2(): Provided<Pbkdf2> | undefined {
  const subtle = subtleCrypto()
  if (subtle === undefined) return undefined
  const pbkdf2Sha512: Pbkdf2['pbkdf2Sha512'] = async (password, salt, iterations, length, { onProgress }) => {
    onProgress?.(0)
    const importing = subtle.importKey('raw', unshared(password), 'PBKDF2', false, ['deriveBits'])
    const parameters = { name: 'PBKDF2', hash: 'SHA-512', salt: copyOf(salt), iterations }
    const key = new Uint8Array(await subtle.deriveBits(parameters, await importing, 8 * length))
    onProgress?.(1)
    return key
  }
  return { primitives: ['PBKDF2'], provider: PROVIDER, part: { pbkdf2Sha512 } }
}

/**
 * Returns undefined for an OperationError, which WebCrypto throws if it refuses the bytes. Other errors say nothing
 * about the bytes, so this function throws them again.
 */
function refused(error: unknown): undefined {
  if ((error as { name?: unknown } | undefined)?.name !== 'OperationError') throw error
}
