// WebCrypto for what is long: the AES and the hashing of blocks, and PBKDF2; portable code for the rest. Every call hands the
// key over, and copies what it reads, before it first waits; a buffer that is encrypted in place is the library's own.
import { type Bytes, wipe } from '../core/bytes.ts'
import type { Backend, Primitive } from './backend.ts'
import { portableBackend } from './portable.ts'

type Subtle = typeof crypto.subtle

const digestNames = { sha256: 'SHA-256', sha512: 'SHA-512' } as const

/** What subtle takes: bytes of unshared memory, without a copy where they are that already. */
function unshared(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes)
}

/**
 * @param worthACall below this many bytes a call costs more than portable code takes for all of them; tests call always
 */
export function webBackend(worthACall: number = 8 * 1024): Backend | undefined {
  const subtle = (globalThis as { crypto?: { subtle?: Subtle } }).crypto?.subtle
  if (subtle === undefined) return undefined
  const web: readonly Primitive[] = ['SHA-2', 'PBKDF2', 'AES-GCM', 'AES-CTR', 'AES-CBC']
  const providers = { ...portableBackend.providers }
  for (const primitive of web) providers[primitive] = 'crypto.subtle'
  return {
    ...portableBackend,
    name: 'web',
    providers,
    ...webDigests(subtle, worthACall),
    ...webCiphers(subtle, worthACall),
    async pbkdf2Sha512(password, salt, iterations, length, { onProgress }) {
      onProgress?.(0)
      const importing = subtle.importKey('raw', unshared(password), 'PBKDF2', false, ['deriveBits'])
      const parameters = { name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(salt), iterations }
      const key = new Uint8Array(await subtle.deriveBits(parameters, await importing, 8 * length))
      onProgress?.(1)
      return key
    },
  }
}

type Digests = Pick<Backend, 'copyAndDigest' | 'digestContent'>

function webDigests(subtle: Subtle, worthACall: number): Digests {
  const digestContent: Digests['digestContent'] = async (content, wanted) => {
    const digests = wanted.map(async (each) => {
      const { hash, suffix } = each
      // WebCrypto has no SHA-3, and hashes nothing in pieces.
      if (hash === 'sha3-256' || suffix !== undefined || content.length < worthACall) {
        return portableBackend.digestContent(content, [each])
      }
      return [new Uint8Array(await subtle.digest(digestNames[hash], unshared(content)))]
    })
    return (await Promise.all(digests)).flat()
  }
  return {
    digestContent,
    async copyAndDigest(content, copy, wanted) {
      copy.set(content)
      return digestContent(copy, wanted)
    },
  }
}

function webCiphers(subtle: Subtle, worthACall: number): Partial<Backend> {
  /** Whether WebCrypto does this everywhere, and is worth a call: browsers have no AES-192, and disagree about odd IVs. */
  const isForSubtle = (key: Uint8Array, iv: Uint8Array, ivBytes: number, text: Uint8Array) =>
    key.length !== 24 && iv.length === ivBytes && text.length >= worthACall
  /** The key is handed over before this first waits; `bytes` must be nobody else's. */
  async function run(
    use: 'encrypt' | 'decrypt',
    key: Uint8Array,
    parameters: { name: string },
    bytes: Uint8Array,
  ): Promise<Bytes> {
    const imported = await subtle.importKey('raw', unshared(key), parameters.name, false, [use])
    return new Uint8Array(await subtle[use](parameters, imported, unshared(bytes)))
  }
  const gcm = (iv: Uint8Array, aad: Uint8Array) => ({
    name: 'AES-GCM',
    iv: new Uint8Array(iv),
    additionalData: new Uint8Array(aad),
  })
  const cbc = (iv: Uint8Array) => ({ name: 'AES-CBC', iv: new Uint8Array(iv) })
  return {
    async gcmSealContent(key, iv, aad, buffer) {
      if (!isForSubtle(key, iv, 12, buffer)) return portableBackend.gcmSealContent(key, iv, aad, buffer)
      buffer.set(await run('encrypt', key, gcm(iv, aad), buffer.subarray(0, -16)))
    },
    async gcmOpenContent(key, iv, aad, sealed) {
      if (!isForSubtle(key, iv, 12, sealed)) return portableBackend.gcmOpenContent(key, iv, aad, sealed)
      return run('decrypt', key, gcm(iv, aad), new Uint8Array(sealed)).catch(refused)
    },
    async ctr(key, counter, buffer) {
      if (!isForSubtle(key, counter, 16, buffer)) return portableBackend.ctr(key, counter, buffer)
      const parameters = { name: 'AES-CTR', counter: new Uint8Array(counter), length: 128 }
      const result = await run('encrypt', key, parameters, buffer)
      buffer.set(result)
      wipe(result)
    },
    async cbcEncrypt(key, iv, text) {
      if (!isForSubtle(key, iv, 16, text)) return portableBackend.cbcEncrypt(key, iv, text)
      const copy = new Uint8Array(text)
      try {
        return await run('encrypt', key, cbc(iv), copy)
      } finally {
        wipe(copy)
      }
    },
    async cbcDecrypt(key, iv, sealed) {
      if (!isForSubtle(key, iv, 16, sealed)) return portableBackend.cbcDecrypt(key, iv, sealed)
      return run('decrypt', key, cbc(iv), new Uint8Array(sealed)).catch(refused)
    },
  }
}

/** WebCrypto refuses bytes by an OperationError; whatever else goes wrong is no answer about them. */
function refused(error: unknown): undefined {
  if ((error as { name?: unknown } | undefined)?.name !== 'OperationError') throw error
}
