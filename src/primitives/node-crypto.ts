// What the node backend shares: the module as newer releases have it, and its Buffers as plain bytes.
import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Bytes } from '../core/bytes.ts'

/** node:crypto, with what only newer releases have: ML-KEM and Argon2 from 24.7 on. */
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

/** A module of the runtime's own, where there is one; bundlers do not see it. */
export function builtinModule(name: string): unknown {
  const platform = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }
  return platform.process?.getBuiltinModule?.(name)
}

export const nodeCrypto = (): Crypto | undefined => builtinModule('node:crypto') as Crypto | undefined

const platform = globalThis as { process?: { versions?: { node?: string } } }

const isNode24 = platform.process?.versions?.node?.startsWith('24.') === true

/** A secret key as this runtime takes it fastest: Node 24 needs four times as long for raw bytes, all others less. */
export function keyInput(crypto: Crypto, key: Uint8Array): Uint8Array | KeyObject {
  return isNode24 ? crypto.createSecretKey(key) : key
}

/** The bytes of a Buffer in memory of their own, without a second copy where it owns its memory already. */
export function own(buffer: Buffer): Bytes {
  if (buffer.buffer instanceof ArrayBuffer && buffer.buffer.byteLength === buffer.length) {
    return new Uint8Array(buffer.buffer)
  }
  const copy = new Uint8Array(buffer)
  buffer.fill(0)
  return copy
}
