// Simulates a power cut: a store that fails at one chosen write.
import { type VaultStore } from '../src/vault.ts'

export class PowerCut extends Error {}

/** Returns a store that throws {@link PowerCut} right after or right before write `last`, counted from 0. */
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
