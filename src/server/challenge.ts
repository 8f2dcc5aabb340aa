// The challenges of a registry (SPEC §17.1, §17.2). They are not stored: a challenge carries its date and a MAC under the
// registry's key. Anyone with that key can mint challenges, so it is as secret as the rows of the accounts.
import { claimHeader, parseChallenge } from '../client/proof.ts'
import { storedChallenge } from '../client/layout.ts'
import { allocate, type Bytes, equalBytes, toHex, utf8 } from '../core/bytes.ts'
import { encode } from '../core/codec.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { ObjectType } from '../core/header.ts'
import { SecretKey, wiping } from '../core/secret.ts'
import { hmacSha256, sha256 } from '../primitives/hash.ts'
import { randomBytes } from '../primitives/random.ts'
import type { CheckedRegistryStore, CheckedStore } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { REGISTRY_NAME } from '../state/name.ts'
import { writeSettled } from '../state/settle.ts'

/** How far clocks may differ. Without a limit, something dated next year would be accepted, or block others, until then. */
export const CLOCK_TOLERANCE_MS = 300_000

/** How long a challenge is valid after its date. */
const CHALLENGE_MS = 60_000

/** How long after its date the store remembers a challenge that was accepted: longer than it can be valid. */
const REMEMBERED_MS = 600_000

const KEY_BYTES = 32
const RANDOM_BYTES = 32
const MAC_BYTES = 32

/** How often to try to create the key. */
const TRIES = 16

/** A challenge that this registry issued, and that was in time when it was checked. */
export interface IssuedChallenge {
  readonly date: number
  readonly bytes: Bytes
}

/** Issues the challenges of one server, and recognises them. */
export class Challenges {
  readonly #store: CheckedRegistryStore
  readonly #realm: string
  readonly #server: string
  /** The registry's key, for the life of this object: then a challenge needs no request to the store. */
  #key: Promise<SecretKey<'mac'>> | undefined

  constructor(store: CheckedRegistryStore, realm: string, server: string) {
    this.#store = store
    this.#realm = realm
    this.#server = server
  }

  /** Creates a challenge. */
  async issue(): Promise<Bytes> {
    const key = await this.#loadKey()
    const challenge = encode(storedChallenge, {
      headerBytes: claimHeader(ObjectType.challenge),
      realm: utf8(this.#realm),
      server: utf8(this.#server),
      random: randomBytes(RANDOM_BYTES),
      date: Math.max(0, Date.now()),
      mac: allocate(MAC_BYTES),
    })
    challenge.set(macOf(key, challenge), challenge.length - MAC_BYTES)
    return challenge
  }

  /**
   * Checks that this server issued a challenge, and that it is in time.
   * @throws KeystrataError `authentication-failed` if it is from another registry, realm or server
   * @throws KeystrataError `expired` if it is too old, or dated too far in the future
   * @throws KeystrataError `malformed`, `unsupported`
   */
  async check(given: Uint8Array): Promise<IssuedChallenge> {
    const { realm, server, date, mac, bytes } = parseChallenge(given)
    const key = await this.#loadKey()
    if (!equalBytes(mac, macOf(key, bytes))) throw authenticationFailed()
    if (realm !== this.#realm || server !== this.#server) throw authenticationFailed()
    assertInTime(date)
    return { date, bytes }
  }

  /**
   * Takes a challenge, so that it is never accepted again. Only this makes the store remember anything.
   * @throws KeystrataError `expired` if it was taken before, or is too old by now
   */
  async take({ date, bytes }: IssuedChallenge): Promise<void> {
    const isFirst = await this.#store.once(toHex(sha256(bytes)), new Date(date + REMEMBERED_MS))
    if (!isFirst)
      throw new KeystrataError('expired', 'this challenge was answered before: request a new one', {
        object: 'challenge',
        date: new Date(date).toISOString(),
      })
    // The store may have taken its time.
    assertInTime(date)
  }

  async #loadKey(): Promise<SecretKey<'mac'>> {
    const loading = (this.#key ??= loadKey(this.#store))
    try {
      return await loading
    } catch (error) {
      if (this.#key === loading) this.#key = undefined
      throw error
    }
  }
}

const macOf = (key: SecretKey<'mac'>, challenge: Uint8Array): Bytes =>
  hmacSha256(key, challenge.subarray(0, -MAC_BYTES))

/**
 * Checks the date of a challenge by the clock of this server.
 * @throws KeystrataError `expired` from 60 seconds after the date on, and more than 5 minutes before it
 */
function assertInTime(date: number): void {
  const now = Date.now()
  const detail = { object: 'challenge', date: new Date(date).toISOString() }
  if (now >= date + CHALLENGE_MS) {
    throw new KeystrataError('expired', 'this challenge has expired: request a new one, and answer it at once', detail)
  }
  if (date > now + CLOCK_TOLERANCE_MS) {
    const message = "this challenge is dated more than 5 minutes ahead of this server's clock: set the servers' clocks"
    throw new KeystrataError('expired', message, detail)
  }
}

/**
 * Reads the registry's key, or creates it. If several servers create it at once, all use the one that is stored.
 * @throws Error (not a KeystrataError) if the stored key is damaged
 * @throws KeystrataError `conflict` if the store takes no key, and has none
 */
async function loadKey(store: CheckedStore): Promise<SecretKey<'mac'>> {
  const created = randomBytes(KEY_BYTES)
  using _ = wiping(created)
  for (let tries = 1; ; tries++) {
    const started = Date.now()
    const stored = await store.read(REGISTRY_NAME)
    if (stored !== undefined) return keyFrom(stored.bytes)
    if ((await writeSettled(store, REGISTRY_NAME, 1, created)) === 'written') return new SecretKey('mac', created)
    if (tries === TRIES) {
      throw new KeystrataError('conflict', 'the store neither takes nor returns the key of the registry', { tries })
    }
    await pauseBeforeRetry(tries, Date.now() - started)
  }
}

/** Damage in the server's own database is not a client's error, so this throws a plain Error. */
function keyFrom(stored: Uint8Array): SecretKey<'mac'> {
  if (stored.length === KEY_BYTES) return new SecretKey('mac', stored)
  throw new Error(
    `the key of the registry is damaged: it has ${stored.length} bytes, not ${KEY_BYTES}. Write ${KEY_BYTES} random bytes as the next version of the object "${REGISTRY_NAME}"`,
  )
}
