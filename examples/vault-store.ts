// What a backup service stores for one user: verifier, profile and keyrings. It has no key. The StateStore may be a
// folder, a database or anything else; `prefixed` gives each user a part of it.
import { KeystrataError } from 'keystrata'
import { checkProfile } from 'keystrata/server'
import type { StateStore } from 'keystrata/stores'
import type { VaultStore } from 'keystrata/vault'

/** The verifier and the record of one version. They are one object, so that they change together or not at all. */
interface Account {
  verifier: string
  /** base64 */
  record: string
}

const ACCOUNT = 'account'

export class StateVaultStore implements VaultStore {
  readonly #state: StateStore

  constructor(state: StateStore) {
    this.#state = state
  }

  async readProfile(): Promise<Uint8Array | undefined> {
    return (await this.#account())?.record
  }

  writeProfile(record: Uint8Array, version: number): Promise<boolean> {
    return this.#write(record, version)
  }

  /** Returns the verifier that checks the user's login; undefined if nobody has signed up. */
  async verifier(): Promise<string | undefined> {
    return (await this.#account())?.verifier
  }

  /**
   * Stores the verifier and the record together, at sign-up or for a new password. Returns false if the version is
   * taken.
   */
  writeAccount(verifier: string, record: Uint8Array, version: number): Promise<boolean> {
    return this.#write(record, version, verifier)
  }

  /** Writes a version. It keeps the stored verifier unless a new one is given. */
  async #write(record: Uint8Array, version: number, newVerifier?: string): Promise<boolean> {
    const stored = await this.#account()
    const verifier = newVerifier ?? stored?.verifier
    if (verifier === undefined) throw new Error('no user has signed up here: store a verifier first')
    if (!mayFollow(record, version, stored?.record)) return false
    const account: Account = { verifier, record: Buffer.from(record).toString('base64') }
    // If another device was quicker since the read above, this writes nothing.
    return this.#state.write(ACCOUNT, (stored?.version ?? 0) + 1, Buffer.from(JSON.stringify(account)))
  }

  async #account(): Promise<{ version: number; verifier: string; record: Uint8Array } | undefined> {
    const stored = await this.#state.read(ACCOUNT)
    if (stored === undefined) return undefined
    const { verifier, record } = JSON.parse(Buffer.from(stored.bytes).toString()) as Account
    return { version: stored.version, verifier, record: Buffer.from(record, 'base64') }
  }

  async readKeyring(vaultId: string): Promise<Uint8Array | undefined> {
    return (await this.#state.read(nameOf(vaultId)))?.bytes
  }

  /** The versions of a keyring have no gaps, so they are those of the object. */
  writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean> {
    return this.#state.write(nameOf(vaultId), version, keyring)
  }

  dropKeyrings(vaultId: string, below: number): Promise<void> {
    return this.#state.drop(nameOf(vaultId), below)
  }
}

const nameOf = (vaultId: string): string => `keyring/${vaultId}`

/** Checks a record before the service stores it; this needs no key. Returns false if another device wrote first. */
function mayFollow(record: Uint8Array, version: number, stored: Uint8Array | undefined): boolean {
  try {
    return checkProfile(record, stored).version === version
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'conflict') return false
    throw error
  }
}
