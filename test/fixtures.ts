// Helpers that many tests share: cheap keysets, damaged bytes, expected errors, stores in memory.
import { createDeviceKey } from '../src/device.ts'
import type { CardHolder } from '../src/core/card.ts'
import { openSealedSecret } from '../src/core/wrap.ts'
import { nodeBackend, portableBackend, webBackend } from './platforms.ts'
import type { Client } from '../src/client.ts'
import type { Claimant } from '../src/client/proof.ts'
import { recipeOf } from '../src/core/recipe.ts'
import type { ClientRecipe } from '../src/client/client.ts'
import {
  type BlockReader,
  createKeyset,
  type ErrorCode,
  type Keyset,
  KeystrataError,
  type RecordPlace,
} from '../src/index.ts'
import { memoryStateStore, type StateStore } from '../src/stores.ts'
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { insidesOf } from '../src/keyset/keyset.ts'
import { Identity } from '../src/core/key-pairs.ts'
import { type Backend } from '../src/primitives/backend.ts'
import { useBackend } from '../src/primitives/choice.ts'

/** The lowest costs that the library accepts for a new hash. They keep the tests fast. */
export const CHEAP = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
export const PASSWORD = 'correct horse battery staple'

/** The backends that this runtime has: a browser has no node backend. The first is the one that the library prefers. */
export const backends: readonly Backend[] = [nodeBackend(), webBackend(), portableBackend].filter(
  (each) => each !== undefined,
)
const chosen = backends[0]!
/** True on Node itself. False on Bun and Deno, which have Node's modules too. */
export const isNode: boolean =
  chosen.name === 'node' && process.versions['bun'] === undefined && process.versions['deno'] === undefined

/** Runs `body` with every primitive from one backend. */
export async function withBackend<T>(backend: Backend, body: () => Promise<T>): Promise<T> {
  useBackend(backend)
  try {
    return await body()
  } finally {
    useBackend(undefined)
  }
}

/** Returns the same backend with password hashes that cost almost nothing. */
export const cheap = (backend: Backend): Backend => ({
  ...backend,
  argon2id: (password, salt, _costs, length, wait) =>
    backend.argon2id(password, salt, { iterations: 1, memoryKiB: 8, lanes: 1 }, length, wait),
  pbkdf2Sha512: (password, salt, _iterations, length, wait) => backend.pbkdf2Sha512(password, salt, 1, length, wait),
})

/** The library's backend with cheap password hashes, for tests that derive many keys at costs that the format fixes. */
export const quick: Backend = cheap(chosen)

/** Runs `body` with cheap password hashes. The keys it derives differ from those that the format defines. */
export const quickly = <T>(body: () => Promise<T>): Promise<T> => withBackend(quick, body)

/** Returns how many random cases a property gets: `usual`, `long` with SLOW=1, a tenth of `usual` in mutation tests. */
export function numRuns(usual: number, long: number): number {
  if ('__stryker__' in globalThis) return Math.ceil(usual / 10)
  return process.env['SLOW'] === '1' ? long : usual
}

export function makeKeyset(options: Parameters<typeof createKeyset>[1] = {}): Promise<Keyset> {
  return createKeyset(PASSWORD, { costs: CHEAP, ...options })
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function unhex(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
}

/** Returns content that looks random but is the same on every run (xorshift32; Marsaglia 2003). */
export function sample(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = Math.imul(seed, 2_654_435_761) | 1
  return new Uint8Array(length).map(() => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state & 0xff
  })
}

/** Compares long byte arrays quickly. `toEqual` compares each element and takes a second for a megabyte. */
export function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) expect(actual).toEqual(expected)
}

export function flipped(bytes: Uint8Array, index: number, bit = 0): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes)
  copy[index] = copy[index]! ^ (1 << bit)
  return copy
}

export function patched(bytes: Uint8Array, offset: number, patch: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes)
  copy.set(patch, offset)
  return copy
}

/** Corrects the checksum of an altered object, as an attacker would. */
export function resummed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = bytes.subarray(0, -8)
  return new Uint8Array([...body, ...createHash('sha256').update(body).digest().subarray(0, 8)])
}

/** The fields of a keyset export that follow its history, by their distance from the first of them (SPEC §9.2). */
const AFTER_HISTORY = { destination: 0, encryption: 1, dedup: 2, argon2: 3, verify: 79, plain: 115 } as const

/** Returns the offset of a field in an export of a keyset. The history before it has no fixed length. */
export function fieldAt(stored: Uint8Array, field: keyof typeof AFTER_HISTORY): number {
  const entries = stored[72]! * 256 + stored[73]!
  return 74 + 24 * entries + AFTER_HISTORY[field]
}

/** Runs an action that must fail with a KeystrataError of one of these codes, and returns that error. */
export async function failure(action: () => unknown, ...codes: readonly ErrorCode[]): Promise<KeystrataError> {
  let outcome: unknown
  try {
    outcome = await action()
  } catch (error) {
    expect(error).toBeInstanceOf(KeystrataError)
    expect(codes).toContain((error as KeystrataError).code)
    return error as KeystrataError
  }
  throw new Error(`expected ${codes.join(' or ')}, but the action returned ${String(outcome)}`)
}

/** Returns the private half of a keyset's card. */
export const cardIdentityOf = (keyset: Keyset): Identity =>
  new Identity(insidesOf(keyset, 'keyset').contents.additional!.sharing)

/** Returns a card holder that opens what is sealed to an identity. */
export const opening = (identity: Identity): Pick<CardHolder, 'openSealed'> => ({
  openSealed: (stored, object, place) => openSealedSecret(identity, stored, object, place),
})

/** The realm and user of most logins in the tests. */
export const ALICE = { realm: 'tests', user: 'alice' }
/** The account and name of most clients in the tests. */
export const DESKTOP = { account: 'acme', name: 'desktop' }

/** A state store in memory. `history` keeps everything that was ever written, as a thief might have kept it. */
export class KeepingStore implements StateStore {
  readonly history: { readonly name: string; readonly version: number; readonly bytes: Uint8Array }[] = []
  readonly #store: StateStore = memoryStateStore()

  read(name: string): Promise<{ version: number; bytes: Uint8Array } | undefined> {
    return this.#store.read(name)
  }

  readVersion(name: string, version: number): Promise<Uint8Array | undefined> {
    return this.#store.readVersion(name, version)
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    this.history.push({ name, version, bytes: new Uint8Array(bytes) })
    return this.#store.write(name, version, bytes)
  }

  drop(name: string, below: number): Promise<void> {
    return this.#store.drop(name, below)
  }
}

/** Returns the bytes of the newest version of an object. */
export async function newestBytes(store: StateStore, name: string): Promise<Uint8Array> {
  return (await store.read(name))!.bytes
}

export async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

/** Returns everything that a stream yields. */
export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** Returns the keys of a client. The caller disposes of them. */
export const claimantOf = (client: Client): Claimant => (recipeOf(client) as ClientRecipe).claimant

/** The length of the random values that noble uses to blind a curve's scalar. They do not change the result. */
const BLINDING_BYTES = 16

/**
 * Runs `body` with the platform's random values replaced by `parts`, in this order.
 * @throws Error if `body` asks for a length other than the next part's, or does not use all parts
 */
export function withRandomness<T>(parts: readonly Uint8Array[], body: () => T): T {
  const waiting = [...parts]
  const original = crypto.getRandomValues.bind(crypto)
  crypto.getRandomValues = <A extends ArrayBufferView | null>(array: A): A => {
    const target = array as Uint8Array | null
    const isBlinding = target?.length === BLINDING_BYTES && waiting[0]?.length !== BLINDING_BYTES
    if (isBlinding) {
      original(target)
      return array
    }
    const next = waiting.shift()
    if (next === undefined || target?.length !== next.length)
      throw new Error(`the next part of randomness does not have ${target?.length ?? 0} bytes`)
    target.set(next)
    return array
  }
  try {
    const result = body()
    if (waiting.length > 0) throw new Error(`${waiting.length} parts of randomness were not used`)
    return result
  } finally {
    crypto.getRandomValues = original
  }
}

/** Returns the unprotected export of a device key that has these bytes. */
export const openKeyOf = (device: Uint8Array): Uint8Array =>
  withRandomness([device], () => createDeviceKey()).exportUnprotected()

/** Opens blocks of every scope of a client: those that the client opens, and public ones by their scope. */
export const ofEveryScope = (client: Pick<Client, 'open' | 'scope'>): BlockReader => ({
  open: (block) => (block.envelope.length === 49 ? client.scope('public') : client).open(block),
})

/** Places in the one log of most tests. */
export const atStart: RecordPlace = { log: 'log', after: 'start' }
export const anywhere: { log: string; after: 'unchecked' } = { log: 'log', after: 'unchecked' }
export const following = (record: Uint8Array): RecordPlace => ({ log: 'log', after: record })
