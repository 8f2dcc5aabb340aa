// WebCrypto for what is long: the AES and the hashing of blocks, and PBKDF2; portable code for the rest. Every call hands the
// key over, and copies the content, before it first waits: what its owner does to either afterwards changes nothing.
import { type Bytes, wipe } from '../bytes.ts'
import type { Backend, Primitive } from './backend.ts'
import { portableBackend } from './backend-portable.ts'

/** Below this many bytes a call costs more than portable code takes for all of them. */
const WORTH_A_CALL = 8 * 1024

type Subtle = typeof crypto.subtle

const digestNames = { sha256: 'SHA-256', sha512: 'SHA-512' } as const

/** What subtle takes: bytes of unshared memory, without a copy where they are that already. */
function unshared(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes)
}

/** Whether WebCrypto does this everywhere, and is worth a call: browsers have no AES-192, and disagree about odd IVs. */
function isForSubtle(key: Uint8Array, iv: Uint8Array, ivBytes: number, text: Uint8Array): boolean {
  return key.length !== 24 && iv.length === ivBytes && text.length >= WORTH_A_CALL
}

export function webBackend(): Backend | undefined {
  const subtle = (globalThis as { crypto?: { subtle?: Subtle } }).crypto?.subtle
  if (subtle === undefined) return undefined
  const web: readonly Primitive[] = ['SHA-2', 'PBKDF2', 'AES-GCM', 'AES-CTR', 'AES-CBC']
  const providers = { ...portableBackend.providers }
  for (const primitive of web) providers[primitive] = 'crypto.subtle'
  return {
    ...portableBackend,
    name: 'web',
    providers,
    ...webDigests(subtle),
    ...webCiphers(subtle),
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

function webDigests(subtle: Subtle): Digests {
  const digestContent: Digests['digestContent'] = async (content, wanted) => {
    const digests = wanted.map(async (each) => {
      const { hash, suffix } = each
      // WebCrypto has no SHA-3, and hashes nothing in pieces.
      if (hash === 'sha3-256' || suffix !== undefined || content.length < WORTH_A_CALL) {
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

function webCiphers(subtle: Subtle): Partial<Backend> {
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
      return run('decrypt', key, gcm(iv, aad), new Uint8Array(sealed)).catch(nothing)
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
      return run('decrypt', key, cbc(iv), new Uint8Array(sealed)).catch(nothing)
    },
  }
}

/** The answer to a refusal: WebCrypto says no more than that there was one. */
const nothing = (): undefined => undefined
