// The ciphers of node:crypto, in place and in chunks.
import { type Crypto, free, keyInput, nodeCrypto, own, PROVIDER, works } from './node-crypto.ts'
import { allocate, type Bytes, concat, toHex, wipe } from '../core/bytes.ts'
import { wiping } from '../core/secret.ts'
import type { Cbc, Ctr, Gcm, Poly1305 } from './backend.ts'
import type { Provided } from './choice.ts'
import { portableCbc, portableCtr, portableGcm } from './portable.ts'

/**
 * Content passes the cipher in chunks of this size. One update over a whole block would allocate the block again, and
 * be half as fast.
 */
const CHUNK = 128 * 1024

/**
 * Passes a ciphertext through a cipher. The result is written to `into`, if it is given. The result of a short ciphertext
 * is otherwise the memory that the cipher returns, without a copy.
 */
function decrypted(update: (chunk: Uint8Array) => Buffer, ciphertext: Uint8Array, into?: Bytes): Bytes {
  const { length } = ciphertext
  // workerd throws at an empty update, so an empty text passes no cipher.
  if (into === undefined && length > 0 && length <= CHUNK) return own(update(ciphertext))
  const text = into ?? allocate(length)
  for (let start = 0; start < length; start += CHUNK) {
    const chunk = update(ciphertext.subarray(start, start + CHUNK))
    text.set(chunk, start)
    wipe(chunk)
    free(chunk)
  }
  return text
}

type Mode = 'gcm' | 'ctr' | 'cbc'

const IV_BYTES = { gcm: 12, ctr: 16, cbc: 16 } as const

function cipherName<M extends Mode>(mode: M, keyBytes: number): `aes-${128 | 192 | 256}-${M}` {
  return `aes-${(8 * keyBytes) as 128 | 192 | 256}-${mode}`
}

/**
 * Returns node:crypto, and the key sizes in bytes for which it has this mode of AES. Not every runtime has all sizes.
 * Returns undefined without AES-256.
 */
function cryptoWithAes(mode: Mode): { crypto: Crypto; keySizes: readonly number[] } | undefined {
  const crypto = nodeCrypto()
  if (crypto === undefined) return undefined
  const keySizes = [16, 24, 32].filter((size) => {
    const [name, iv] = [cipherName(mode, size), allocate(IV_BYTES[mode])]
    const key = () => keyInput(crypto, allocate(size))
    return works(() => {
      crypto.createCipheriv(name, key(), iv).final()
      crypto.createDecipheriv(name, key(), iv)
    })
  })
  return keySizes.includes(32) ? { crypto, keySizes } : undefined
}

export function nodeGcm(): Provided<Gcm> | undefined {
  const found = cryptoWithAes('gcm')
  if (found === undefined) return undefined
  const { crypto, keySizes } = found
  const portable = portableGcm().part
  function sealInPlace(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, buffer: Uint8Array): void {
    const cipher = crypto.createCipheriv(cipherName('gcm', key.length), keyInput(crypto, key), iv)
    cipher.setAAD(aad)
    const text = buffer.subarray(0, -16)
    for (let start = 0; start < text.length; start += CHUNK) {
      const chunk = cipher.update(text.subarray(start, start + CHUNK))
      buffer.set(chunk, start)
      free(chunk)
    }
    cipher.final()
    buffer.set(cipher.getAuthTag(), text.length)
  }
  function open(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array, into?: Bytes): Bytes | undefined {
    if (sealed.length < 16) return undefined
    const decipher = crypto.createDecipheriv(cipherName('gcm', key.length), keyInput(crypto, key), iv, {
      authTagLength: 16,
    })
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(-16))
    const text = decrypted((chunk) => decipher.update(chunk), sealed.subarray(0, -16), into)
    try {
      // Only this call checks the tag. A failure of any other call says nothing about the bytes.
      decipher.final()
      return text
    } catch {
      wipe(text)
      return undefined
    }
  }
  function seal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes {
    const buffer = concat(text, allocate(16))
    sealInPlace(key, iv, aad, buffer)
    return buffer
  }
  // Node releases disagree about IVs that are not 12 bytes long. This library uses 12, and leaves all others to
  // portable code.
  const isNative = (key: Uint8Array, iv: Uint8Array) => iv.length === IV_BYTES.gcm && keySizes.includes(key.length)
  const part: Gcm = {
    gcmSeal: (key, iv, aad, text) =>
      isNative(key, iv) ? seal(key, iv, aad, text) : portable.gcmSeal(key, iv, aad, text),
    gcmOpen: (key, iv, aad, sealed) =>
      isNative(key, iv) ? open(key, iv, aad, sealed) : portable.gcmOpen(key, iv, aad, sealed),
    async gcmSealContent(key, iv, aad, buffer) {
      if (!isNative(key, iv)) return portable.gcmSealContent(key, iv, aad, buffer)
      sealInPlace(key, iv, aad, buffer)
    },
    gcmOpenContent: async (key, iv, aad, sealed, into) =>
      isNative(key, iv) ? open(key, iv, aad, sealed, into) : portable.gcmOpenContent(key, iv, aad, sealed),
  }
  return { primitives: ['AES-GCM'], provider: PROVIDER, part }
}

export function nodeCtr(): Provided<Ctr> | undefined {
  const found = cryptoWithAes('ctr')
  if (found === undefined) return undefined
  const { crypto, keySizes } = found
  const portable = portableCtr().part
  const ctr: Ctr['ctr'] = async (key, counter, buffer) => {
    if (!keySizes.includes(key.length)) return portable.ctr(key, counter, buffer)
    const cipher = crypto.createCipheriv(cipherName('ctr', key.length), keyInput(crypto, key), counter)
    for (let start = 0; start < buffer.length; start += CHUNK) {
      const chunk = cipher.update(buffer.subarray(start, start + CHUNK))
      buffer.set(chunk, start)
      wipe(chunk)
      free(chunk)
    }
    cipher.final()
  }
  return { primitives: ['AES-CTR'], provider: PROVIDER, part: { ctr } }
}

export function nodeCbc(): Provided<Cbc> | undefined {
  const found = cryptoWithAes('cbc')
  if (found === undefined) return undefined
  const { crypto, keySizes } = found
  const portable = portableCbc().part
  const part: Cbc = {
    async cbcEncrypt(key, iv, text) {
      if (!keySizes.includes(key.length)) return portable.cbcEncrypt(key, iv, text)
      const cipher = crypto.createCipheriv(cipherName('cbc', key.length), keyInput(crypto, key), iv)
      return concat(cipher.update(text), cipher.final())
    },
    async cbcDecrypt(key, iv, sealed) {
      if (!keySizes.includes(key.length)) return portable.cbcDecrypt(key, iv, sealed)
      // Deno accepts an empty ciphertext, which has no padding.
      if (sealed.length === 0) return undefined
      const decipher = crypto.createDecipheriv(cipherName('cbc', key.length), keyInput(crypto, key), iv)
      const text = decipher.update(sealed)
      using _text = wiping(text)
      try {
        const last = decipher.final()
        using _last = wiping(last)
        return concat(text, last)
      } catch {
        return undefined
      }
    },
  }
  return { primitives: ['AES-CBC'], provider: PROVIDER, part }
}

/** The tag for a key, a nonce and 44 bytes of associated data that are all zero, from OpenSSL and from noble. */
const TAG_OF_ZEROS = '44396577e9bfcd5cbcb43aab941cf5c6'

export function nodePoly1305(): Provided<Poly1305> | undefined {
  const crypto = nodeCrypto()
  if (crypto === undefined) return undefined
  const nonce = allocate(12)
  const tagOf = (key: Uint8Array, parts: readonly Uint8Array[]): Bytes => {
    const cipher = crypto.createCipheriv('chacha20-poly1305', keyInput(crypto, key), nonce, { authTagLength: 16 })
    for (const part of parts) cipher.setAAD(part, { plaintextLength: 0 })
    cipher.final()
    return own(cipher.getAuthTag())
  }
  // Check associated data in pieces: a runtime that used only the last piece would not protect the others. workerd returns
  // an empty tag if there is no text.
  const takesPieces = works(() => {
    const tag = tagOf(allocate(32), [allocate(32), allocate(12)])
    if (toHex(tag) !== TAG_OF_ZEROS) throw new Error('associated data in pieces')
  })
  if (!takesPieces) return undefined
  return {
    primitives: ['Poly1305'],
    provider: PROVIDER,
    part: { chachaPolyTag: async (key, parts) => tagOf(key, parts) },
  }
}
