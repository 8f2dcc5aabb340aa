// What a backup service stores for one user, in a plain folder: verifier, profile and keyrings. It has no key.
import { type VaultStore } from 'keystrata/vault'
import { KeystrataError } from 'keystrata'
import { checkProfile } from 'keystrata/server'
import { type FolderStore, versionName } from './store.ts'

/** The verifier and the record of one version. They are one object, so that they change together or not at all. */
interface Account {
  verifier: string
  /** base64 */
  record: string
}

export class FolderVaultStore implements VaultStore {
  readonly #store: FolderStore

  constructor(store: FolderStore) {
    this.#store = store
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
    return this.#store.put(versionName('account', version), Buffer.from(JSON.stringify(account)))
  }

  readKeyring(vaultId: string): Promise<Uint8Array | undefined> {
    return this.#newest(`keyring-${vaultId}`)
  }

  async writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean> {
    const name = versionName(`keyring-${vaultId}`, version)
    // A late write must not bring back a dropped keyring.
    const newest = (await this.#store.versions(`keyring-${vaultId}`)).at(-1)
    return (newest === undefined || newest < name) && this.#store.put(name, keyring)
  }

  async dropKeyrings(vaultId: string, below: number): Promise<void> {
    for (const name of (await this.#store.versions(`keyring-${vaultId}`)).slice(0, -1)) {
      if (name < versionName(`keyring-${vaultId}`, below)) await this.#store.drop(name)
    }
  }

  async #account(): Promise<{ verifier: string; record: Uint8Array } | undefined> {
    const stored = await this.#newest('account')
    if (stored === undefined) return undefined
    const { verifier, record } = JSON.parse(Buffer.from(stored).toString()) as Account
    return { verifier, record: Buffer.from(record, 'base64') }
  }

  /**
   * Reads the newest version. If it was dropped between listing and reading, there is a newer one, so it tries again.
   */
  async #newest(folder: string): Promise<Uint8Array | undefined> {
    for (;;) {
      const name = (await this.#store.versions(folder)).at(-1)
      if (name === undefined) return undefined
      const bytes = await this.#store.get(name)
      if (bytes !== undefined) return bytes
    }
  }
}

/** Checks a record before the service stores it; this needs no key. Returns false if another device wrote first. */
export function mayFollow(record: Uint8Array, version: number, stored: Uint8Array | undefined): boolean {
  try {
    return checkProfile(record, stored).version === version
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'conflict') return false
    throw error
  }
}
