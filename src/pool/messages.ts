// What a pool and its workers tell each other. Bytes are transferred and not copied; keys go as bytes, and are wiped on arrival.
import { type ErrorCode, type ErrorDetail, KeystrataError } from '../core/errors.ts'
import { type Role, SecretKey, withBytes } from '../core/secret.ts'
import type { ClientRecipe, ScopeRecipe } from '../client/client.ts'
import type { KeysetRecipe } from '../keyset/keyset.ts'
import type { SharedRecipe, ShareRecipe } from '../keyset/share.ts'
import type { WriterRecipe } from '../keyset/writer.ts'
import type { VaultRecipe } from '../vault/block.ts'

/** What handles of all key models are made of. */
export type Recipe = WriterRecipe | KeysetRecipe | ShareRecipe | SharedRecipe | VaultRecipe | ClientRecipe | ScopeRecipe

/** Bytes that move to the other side. */
export type Moved = Uint8Array<ArrayBuffer>

export interface MovedHead {
  label: string
  envelope: Moved
}

export interface MovedBlock extends MovedHead {
  ciphertext: Moved
}

/** What a worker is asked; handles and prepared blocks are known by numbers. */
export type Task =
  | { task: 'attach'; handle: number; recipe: unknown }
  /** Content has room around it. */
  | { task: 'prepare'; handle: number; prepared: number; content: Moved }
  | { task: 'seal'; handle: number; content: Moved; shares: readonly string[] | undefined }
  | { task: 'seal-prepared'; prepared: number; shares: readonly string[] | undefined }
  | { task: 'envelopes-for'; prepared: number; shares: readonly string[] }
  | { task: 'drop'; prepared: number }
  | { task: 'open'; handle: number; block: MovedBlock }
  | { task: 'verify'; handle: number; block: MovedBlock }
  /** Under today's key pairs of a reader, or to a share. */
  | { task: 'rekey' | 'add'; handle: number; heads: readonly MovedHead[] }
  | { task: 'close' }

export interface Request {
  id: number
  task: Task
}

/** What came of it. */
export type Reply = { id: number; value: unknown } | { id: number; error: MovedError }

/** What came of one head: neither where its envelope is current. */
export interface Rekeyed {
  label: string
  envelope?: Moved
  error?: MovedError
}

/** An error, which structured cloning would make a plain one of. */
export interface MovedError {
  name: string
  message: string
  code?: ErrorCode
  detail?: ErrorDetail
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

/** A recipe as plain bytes; `moved` collects what is to be transferred. */
export function moveKeys(value: unknown, moved: ArrayBuffer[]): unknown {
  if (value instanceof SecretKey) {
    const key = value as SecretKey<Role>
    const bytes = withBytes(key, (secret) => new Uint8Array(secret))
    moved.push(bytes.buffer)
    return { secretRole: key.role, bytes } satisfies MovedKey
  }
  if (Array.isArray(value)) return value.map((each: unknown) => moveKeys(each, moved))
  // A copy, or the whole buffer that it may be a part of would be cloned.
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, moveKeys(field, moved)]))
}

/** The recipe again; its keys are wiped where they arrived. */
export function arrivedKeys(value: unknown): Recipe {
  return arrive(value) as Recipe
}

function arrive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(arrive)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if ('secretRole' in value) {
    const { secretRole, bytes } = value as MovedKey
    return SecretKey.take(secretRole, bytes)
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, arrive(field)]))
}
