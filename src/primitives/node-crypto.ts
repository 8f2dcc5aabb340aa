// What the implementations with node:crypto share: the module, with the types of newer releases, and its Buffers as
// plain bytes.
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { type Bytes, copyOf } from '../core/bytes.ts'

/** node:crypto, with what only newer releases have: ML-KEM and Argon2 since 24.7. */
export type Crypto = typeof NodeCrypto & NewerCrypto

interface NewerCrypto {
  encapsulate?(this: void, publicKey: KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate?(this: void, privateKey: KeyObject, ciphertext: Uint8Array): Buffer
  argon2?(
    this: void,
    algorithm: 'argon2id',
    parameters: Argon2Input,
    done: (error: Error | null, tag: Buffer) => void,
  ): void
  argon2Sync?(this: void, algorithm: 'argon2id', parameters: Argon2Input): Buffer
}

export interface Argon2Input {
  message: Uint8Array
  nonce: Uint8Array
  parallelism: number
  tagLength: number
  memory: number
  passes: number
}

/** Returns a module that is built into the runtime, if it has it. Bundlers do not see this import. */
export function builtinModule(name: string): unknown {
  const platform = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }
  return platform.process?.getBuiltinModule?.(name)
}

export const nodeCrypto = (): Crypto | undefined => builtinModule('node:crypto') as Crypto | undefined

export const PROVIDER = 'node:crypto'

/** Returns whether `probe` runs on this runtime without throwing. */
export function works(probe: () => unknown): boolean {
  try {
    probe()
    return true
  } catch {
    return false
  }
}

let node24: boolean | undefined

function isNode24(): boolean {
  const platform = globalThis as { process?: { versions?: { node?: string } } }
  return (node24 ??= platform.process?.versions?.node?.startsWith('24.') === true)
}

/**
 * Returns a secret key in the form that is fastest on this runtime: a KeyObject on Node 24, bytes on every other
 * release.
 */
export function keyInput(crypto: Crypto, key: Uint8Array): Uint8Array | KeyObject {
  return isNode24() ? crypto.createSecretKey(key) : key
}

/**
 * Returns the bytes of a Buffer as bytes that own their memory. A Buffer that owns its memory is not copied. Any other
 * is copied and wiped.
 */
export function own(buffer: Buffer): Bytes {
  if (buffer.buffer instanceof ArrayBuffer && buffer.buffer.byteLength === buffer.length) {
    return new Uint8Array(buffer.buffer)
  }
  const copy = copyOf(buffer)
  buffer.fill(0)
  return copy
}
