// The messages between a pool and its workers. Bytes are transferred instead of copied. Keys are sent as bytes, and
// those bytes are wiped on arrival.
import { copyOf } from '../core/bytes.ts'
import { type ErrorCode, KeystrataError } from '../core/errors.ts'
import { isBytes } from '../core/realms.ts'
import { type Role, SecretKey, withBytes } from '../core/secret.ts'
import type { ClientRecipe, ScopeRecipe } from '../client/client.ts'
import type { KeysetRecipe } from '../keyset/keyset.ts'
import type { RekeyRecipe } from '../keyset/rekey.ts'
import type { SharedRecipe } from '../keyset/share.ts'
import type { WriterRecipe } from '../keyset/writer.ts'
import type { VaultRecipe } from '../vault/block.ts'

/** The recipes of all handles, from all key models. */
export type Recipe = WriterRecipe | KeysetRecipe | RekeyRecipe | SharedRecipe | VaultRecipe | ClientRecipe | ScopeRecipe

/** Bytes that move to the other thread. */
export type Moved = Uint8Array<ArrayBuffer>

export interface MovedHead {
  label: string
  envelope: Moved
}

export interface MovedBlock extends MovedHead {
  ciphertext: Moved
}

/** A task for a worker. Handles and prepared blocks are identified by numbers. */
export type Task =
  | { task: 'attach'; handle: number; recipe: unknown }
  /** The content has room around it, so that it can be encrypted in place. */
  | { task: 'prepare'; handle: number; prepared: number; content: Moved }
  | { task: 'seal'; handle: number; content: Moved; shares: readonly string[] | undefined }
  | { task: 'pack'; handle: number; files: readonly Moved[] }
  | { task: 'seal-prepared'; prepared: number; shares: readonly string[] | undefined }
  | { task: 'envelopes-for'; prepared: number; shares: readonly string[] }
  | { task: 'drop'; prepared: number }
  /** Drops a prepared block, and returns its buffer. */
  | { task: 'discard'; prepared: number }
  | { task: 'open'; handle: number; block: MovedBlock }
  | { task: 'verify'; handle: number; block: MovedBlock }
  | { task: 'rekey'; handle: number; heads: readonly MovedHead[] }
  | { task: 'close' }

export interface Request {
  id: number
  task: Task
}

/** What a worker says: once that it runs, and then the answer to each request. */
export type Reply = { ready: true } | { id: number; value: unknown } | { id: number; error: MovedError }

/** The result for one head: one of the two. */
export interface Rekeyed {
  envelope?: Moved
  error?: MovedError
}

/** An error as plain data, because structured cloning loses its class and code. */
export interface MovedError {
  name: string
  message: string
  code?: ErrorCode
  detail?: KeystrataError['detail']
}

/** Returns whether a value is an error as plain data. */
export function isMovedError(value: unknown): value is MovedError {
  if (typeof value !== 'object' || value === null) return false
  const { name, message } = value as Partial<MovedError>
  return typeof name === 'string' && typeof message === 'string'
}

export function moveError(error: unknown): MovedError {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  return error instanceof KeystrataError ? { name, message, code: error.code, detail: error.detail } : { name, message }
}

export function arrivedError({ name, message, code, detail }: MovedError): Error {
  if (code !== undefined) return new KeystrataError(code, message, detail)
  if (name === 'TypeError') return new TypeError(message)
  return name === 'RangeError' ? new RangeError(message) : new Error(message)
}

interface MovedKey {
  secretRole: Role
  bytes: Moved
}

/** Copies a recipe, with its keys as plain bytes. Adds the buffers to transfer to `moved`. */
export function moveKeys(value: unknown, moved: ArrayBuffer[]): unknown {
  if (value instanceof SecretKey) {
    const key = value as SecretKey<Role>
    const bytes = withBytes(key, (secret) => copyOf(secret))
    moved.push(bytes.buffer)
    return { secretRole: key.role, bytes } satisfies MovedKey
  }
  if (Array.isArray(value)) return value.map((each: unknown) => moveKeys(each, moved))
  // Copy it: if it is a view, structured cloning would clone the whole buffer behind it.
  if (isBytes(value)) return copyOf(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, moveKeys(field, moved)]))
}

/** Rebuilds a recipe from its plain form, and wipes the key bytes that arrived. */
export function arrivedKeys(value: unknown): Recipe {
  return arrive(value) as Recipe
}

function arrive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(arrive)
  if (typeof value !== 'object' || value === null || isBytes(value)) return value
  if ('secretRole' in value) {
    const { secretRole, bytes } = value as MovedKey
    return SecretKey.take(secretRole, bytes)
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, arrive(field)]))
}
