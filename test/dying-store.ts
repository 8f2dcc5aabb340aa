import { type VaultStore } from '../src/vault.ts'
// A power cut, as a store in memory shows it: one write is the last one.

export class PowerCut extends Error {}

/** A store that a device loses right after its write `last`, counted from 0, or right before it. */
export function dyingStore(store: VaultStore, last: number, when: 'after' | 'before' = 'after'): VaultStore {
  let writes = 0
  async function write<T>(call: () => Promise<T>): Promise<T> {
    const isLast = writes++ === last
    if (isLast && when === 'before') throw new PowerCut()
    const answer = await call()
    if (isLast) throw new PowerCut()
    return answer
  }
  return {
    readProfile: () => store.readProfile(),
    readKeyring: (vaultId) => store.readKeyring(vaultId),
    writeProfile: (record, version) => write(() => store.writeProfile(record, version)),
    writeKeyring: (vaultId, keyring, version) => write(() => store.writeKeyring(vaultId, keyring, version)),
    dropKeyrings: (vaultId, below) => write(() => store.dropKeyrings(vaultId, below)),
  }
}
