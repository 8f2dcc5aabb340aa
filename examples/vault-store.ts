// What a backup service keeps for one user, in a plain folder: verifier, profile and keyrings. It holds no key.
import { type VaultStore } from 'keystrata/vault'
import { KeystrataError } from 'keystrata'
import { checkProfile } from 'keystrata/server'
import { type FolderStore, versionName } from './store.ts'

/** The verifier and the record of one version: one object, so that they change together or not at all. */
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

  /** What recognises the user; undefined if there is none. */
  async verifier(): Promise<string | undefined> {
    return (await this.#account())?.verifier
  }

  /** A first login, or a new password: verifier and record together. False if the version is taken. */
  writeAccount(verifier: string, record: Uint8Array, version: number): Promise<boolean> {
    return this.#write(record, version, verifier)
  }

  /** Keeps the verifier that there is, if no other is given. */
  async #write(record: Uint8Array, version: number, newVerifier?: string): Promise<boolean> {
    const stored = await this.#account()
    const verifier = newVerifier ?? stored?.verifier
    if (verifier === undefined) throw new Error('nobody has signed up here')
    if (!mayFollow(record, version, stored?.record)) return false
    const account: Account = { verifier, record: Buffer.from(record).toString('base64') }
    return this.#store.put(versionName('account', version), Buffer.from(JSON.stringify(account)))
  }

  readKeyring(vaultId: string): Promise<Uint8Array | undefined> {
    return this.#newest(`keyring-${vaultId}`)
  }

  async writeKeyring(vaultId: string, keyring: Uint8Array, version: number): Promise<boolean> {
    const name = versionName(`keyring-${vaultId}`, version)
    // One that was dropped must not come back by a late write.
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

  /** The newest version; again if it was dropped while this looked, because then there is a newer one. */
  async #newest(folder: string): Promise<Uint8Array | undefined> {
    for (;;) {
      const name = (await this.#store.versions(folder)).at(-1)
      if (name === undefined) return undefined
      const bytes = await this.#store.get(name)
      if (bytes !== undefined) return bytes
    }
  }
}

/** What a service checks before it stores a record, without a key. False if somebody else was quicker. */
export function mayFollow(record: Uint8Array, version: number, stored: Uint8Array | undefined): boolean {
  try {
    return checkProfile(record, stored).version === version
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'conflict') return false
    throw error
  }
}
