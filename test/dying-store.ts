// Simulates a power cut: a store that fails at one chosen write.
import type { StateStore } from '../src/stores.ts'

export class PowerCut extends Error {}

/** Returns a store that throws {@link PowerCut} right after or right before write `last`, counted from 0, and ever after. */
export function dyingStore(store: StateStore, last: number, when: 'after' | 'before' = 'after'): StateStore {
  let writes = 0
  async function alive<T>(call: () => Promise<T>): Promise<T> {
    if (writes > last) throw new PowerCut()
    return call()
  }
  async function write<T>(call: () => Promise<T>): Promise<T> {
    const isLast = writes++ === last
    if (writes > last + 1 || (isLast && when === 'before')) throw new PowerCut()
    const answer = await call()
    if (isLast) throw new PowerCut()
    return answer
  }
  return {
    read: (name) => alive(() => store.read(name)),
    readVersion: (name, version) => alive(() => store.readVersion(name, version)),
    write: (name, version, bytes) => write(() => store.write(name, version, bytes)),
    drop: (name, below) => write(() => store.drop(name, below)),
  }
}
