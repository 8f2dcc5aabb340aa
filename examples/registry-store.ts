// The RegistryStore of a storage server, over any store of keystrata/stores that also has `once`: what the server knows
// of its clients' keys.
import { createHash } from 'node:crypto'
import type { RegistryStore } from 'keystrata/server'
import type { RegistryStore as StateStoreWithOnce } from 'keystrata/stores'

/** How long a challenge that was taken is remembered: longer than it is valid. */
const TAKEN_MS = 600_000

export class StateRegistryStore implements RegistryStore {
  readonly #store: StateStoreWithOnce

  constructor(store: StateStoreWithOnce) {
    this.#store = store
  }

  async read(account: string, client: string): Promise<{ row: Uint8Array; version: number } | undefined> {
    const stored = await this.#store.read(nameOf(account, client))
    return stored && { row: stored.bytes, version: stored.version }
  }

  async write(account: string, client: string, row: Uint8Array, version: number): Promise<boolean> {
    const name = nameOf(account, client)
    if (!(await this.#store.write(name, version, row))) return false
    await this.#store.drop(name, version)
    return true
  }

  async addChallenge(challenge: Uint8Array, expires: Date): Promise<void> {
    await this.#store.once(`issued/${hex(challenge)}`, expires)
  }

  async takeChallenge(challenge: Uint8Array): Promise<boolean> {
    // It was issued, and has not expired, if its key is there. If it is not, this adds one that is expired at once.
    const isIssued = !(await this.#store.once(`issued/${hex(challenge)}`, new Date(0)))
    return isIssued && this.#store.once(`taken/${hex(challenge)}`, new Date(Date.now() + TAKEN_MS))
  }
}

const nameOf = (account: string, client: string): string => `registry/${hashOf(account)}/${hashOf(client)}`

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
