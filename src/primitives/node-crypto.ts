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

interface Versions {
  readonly node?: string
  readonly bun?: string
  readonly deno?: string
}

/** What this library reads of `process`. */
interface Process {
  readonly getBuiltinModule?: (id: string) => unknown
  readonly versions?: Versions
}

/** Returns what `read` finds on this platform. Some platforms throw where others have nothing. */
export function ifThere<T>(read: () => T | undefined): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/**
 * Returns `process`. It is read as a property: the bare name would make bundlers add a replacement for it. The same is
 * true of `Buffer`, so nothing here uses the global one.
 */
const platformProcess = (): Process | undefined => (globalThis as { process?: Process }).process

/**
 * Returns a module that is built into the runtime, if it has it. Bundlers do not see this import. In Next's edge
 * runtime, the function exists and throws.
 */
export const builtinModule = (name: string): unknown => ifThere(() => platformProcess()?.getBuiltinModule?.(name))

export const nodeCrypto = (): Crypto | undefined => builtinModule('node:crypto') as Crypto | undefined

/** Returns the Buffer class of the runtime that has node:crypto. */
export const nodeBuffer = (): typeof Buffer => (builtinModule('node:buffer') as { Buffer: typeof Buffer }).Buffer

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

/** Returns the release of Node as 1000 · major + minor, such as 24021. Returns Infinity for other runtimes. */
export function releaseOf({ node, bun, deno }: Versions): number {
  if (node === undefined || bun !== undefined || deno !== undefined) return Infinity
  const [major = Infinity, minor = 0] = node.split('.').map(Number)
  return 1000 * major + minor
}

/** Does the same as {@link releaseOf}, for this runtime. */
export const release = (): number => releaseOf(ifThere(() => platformProcess()?.versions) ?? {})

/** Returns whether keys that are bytes take four times as long as KeyObjects. */
export const isSlowWithBytes = (found: number): boolean => found >= 24_018 && found <= 24_021

let slowWithBytes: boolean | undefined

/**
 * Returns a secret key in the form that is fastest on this runtime: bytes, or a KeyObject on the releases that are slow
 * with bytes.
 */
export function keyInput(crypto: Crypto, key: Uint8Array): Uint8Array | KeyObject {
  slowWithBytes ??= isSlowWithBytes(release())
  return slowWithBytes ? crypto.createSecretKey(key) : key
}

/**
 * Frees the memory of a Buffer at once, where the runtime can. Nothing may use the Buffer afterwards. Ciphers return a
 * new Buffer for every chunk. Left to the garbage collector, they cost a tenth of the time of sealing.
 */
export function free({ buffer, length }: Buffer): void {
  const { transfer } = buffer as { transfer?: (length: number) => ArrayBuffer }
  // A short Buffer may share its memory with others.
  if (transfer !== undefined && buffer.byteLength === length && length >= LEAST_TO_FREE) transfer.call(buffer, 0)
}

/** Below this, freeing costs more than it gains. */
const LEAST_TO_FREE = 16_384

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
