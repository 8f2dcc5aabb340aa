// The ciphers of node:crypto, in place and in chunks.
import { type Bytes, concat, wipe } from '../core/bytes.ts'
import type { Backend } from './backend.ts'
import { type Crypto, keyInput, own } from './node-crypto.ts'
import { portableBackend } from './portable.ts'

/**
 * Content passes the cipher in chunks of this size: one update over a whole block allocates as much again, at half speed.
 */
const CHUNK = 128 * 1024

type Mode = 'gcm' | 'ctr' | 'cbc'

const IV_BYTES = { gcm: 12, ctr: 16, cbc: 16 } as const

function cipherName<M extends Mode>(mode: M, keyBytes: number): `aes-${128 | 192 | 256}-${M}` {
  return `aes-${(8 * keyBytes) as 128 | 192 | 256}-${mode}`
}

/** The key sizes, in bytes, for which this runtime has a mode of AES: not every one has all. */
export function aesKeySizes(crypto: Crypto, mode: Mode): readonly number[] {
  return [16, 24, 32].filter((size) => {
    const [name, iv] = [cipherName(mode, size), new Uint8Array(IV_BYTES[mode])]
    const key = () => keyInput(crypto, new Uint8Array(size))
    try {
      crypto.createCipheriv(name, key(), iv).final()
      crypto.createDecipheriv(name, key(), iv)
      return true
    } catch {
      return false
    }
  })
}

export function nodeGcm(crypto: Crypto, keySizes: readonly number[]): Partial<Backend> {
  function sealInPlace(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, buffer: Uint8Array): void {
    const cipher = crypto.createCipheriv(cipherName('gcm', key.length), keyInput(crypto, key), iv)
    cipher.setAAD(aad)
    const text = buffer.subarray(0, -16)
    for (let start = 0; start < text.length; start += CHUNK) {
      buffer.set(cipher.update(text.subarray(start, start + CHUNK)), start)
    }
    cipher.final()
    buffer.set(cipher.getAuthTag(), text.length)
  }
  function open(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    if (sealed.length < 16) return undefined
    const decipher = crypto.createDecipheriv(cipherName('gcm', key.length), keyInput(crypto, key), iv, {
      authTagLength: 16,
    })
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(-16))
    const text = new Uint8Array(sealed.length - 16)
    for (let start = 0; start < text.length; start += CHUNK) {
      const chunk = decipher.update(sealed.subarray(start, Math.min(start + CHUNK, text.length)))
      text.set(chunk, start)
      wipe(chunk)
    }
    try {
      // Only this says whether the tag holds; what else fails is a fault of the runtime, and no answer about the bytes.
      decipher.final()
      return text
    } catch {
      wipe(text)
      return undefined
    }
  }
  function seal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes {
    const buffer = concat(text, new Uint8Array(16))
    sealInPlace(key, iv, aad, buffer)
    return buffer
  }
  // Releases disagree about IVs of other lengths than the 12 bytes that this library uses.
  const isNative = (key: Uint8Array, iv: Uint8Array) => iv.length === IV_BYTES.gcm && keySizes.includes(key.length)
  return {
    gcmSeal: (key, iv, aad, text) =>
      isNative(key, iv) ? seal(key, iv, aad, text) : portableBackend.gcmSeal(key, iv, aad, text),
    gcmOpen: (key, iv, aad, sealed) =>
      isNative(key, iv) ? open(key, iv, aad, sealed) : portableBackend.gcmOpen(key, iv, aad, sealed),
    async gcmSealContent(key, iv, aad, buffer) {
      if (!isNative(key, iv)) return portableBackend.gcmSealContent(key, iv, aad, buffer)
      sealInPlace(key, iv, aad, buffer)
    },
    gcmOpenContent: async (key, iv, aad, sealed) =>
      isNative(key, iv) ? open(key, iv, aad, sealed) : portableBackend.gcmOpenContent(key, iv, aad, sealed),
  }
}

export function nodeCtr(crypto: Crypto, keySizes: readonly number[]): Partial<Backend> {
  return {
    async ctr(key, counter, buffer) {
      if (!keySizes.includes(key.length)) return portableBackend.ctr(key, counter, buffer)
      const cipher = crypto.createCipheriv(cipherName('ctr', key.length), keyInput(crypto, key), counter)
      for (let start = 0; start < buffer.length; start += CHUNK) {
        const chunk = cipher.update(buffer.subarray(start, start + CHUNK))
        buffer.set(chunk, start)
        wipe(chunk)
      }
      cipher.final()
    },
  }
}

export function nodeCbc(crypto: Crypto, keySizes: readonly number[]): Partial<Backend> {
  return {
    async cbcEncrypt(key, iv, text) {
      if (!keySizes.includes(key.length)) return portableBackend.cbcEncrypt(key, iv, text)
      const cipher = crypto.createCipheriv(cipherName('cbc', key.length), keyInput(crypto, key), iv)
      return concat(cipher.update(text), cipher.final())
    },
    async cbcDecrypt(key, iv, sealed) {
      if (!keySizes.includes(key.length)) return portableBackend.cbcDecrypt(key, iv, sealed)
      // Deno takes nothing at all for a text of no blocks.
      if (sealed.length === 0) return undefined
      const decipher = crypto.createDecipheriv(cipherName('cbc', key.length), keyInput(crypto, key), iv)
      const parts = [decipher.update(sealed)]
      try {
        parts.push(decipher.final())
        return concat(...parts)
      } catch {
        return undefined
      } finally {
        wipe(...parts)
      }
    },
  }
}

export function nodeChachaPoly(crypto: Crypto): Partial<Backend> {
  return {
    async chachaPolyTag(key, parts) {
      const nonce = new Uint8Array(12)
      const cipher = crypto.createCipheriv('chacha20-poly1305', keyInput(crypto, key), nonce, {
        authTagLength: 16,
      })
      for (const part of parts) cipher.setAAD(part, { plaintextLength: 0 })
      cipher.final()
      return own(cipher.getAuthTag())
    },
  }
}
