// A backend that imports every key once. The explorer opens the same few keysets thousands of times, and half of that
// time would go into the same imports. Everything else is computed each time.
import type { Backend, Decapsulator, Encapsulator, Kem } from '../../src/primitives/backend.ts'
import { quick } from '../fixtures.ts'

/** How many imported keys to remember: runs that create keys would fill the memory. */
const MOST = 2000

function remembered<T>(make: (key: Uint8Array) => T): (key: Uint8Array) => T {
  const known: Map<string, T> = new Map()
  return (key) => {
    const name = Buffer.from(key).toString('latin1')
    let value = known.get(name)
    if (value === undefined) {
      if (known.size >= MOST) known.clear()
      known.set(name, (value = make(key)))
    }
    return value
  }
}

/** Disposing of what others still use does nothing. */
const lasting = (imported: Decapsulator): Decapsulator => {
  const { publicKey } = imported
  return {
    publicKey,
    decapsulate: (ciphertext) => imported.decapsulate(ciphertext),
    dispose: () => undefined,
    [Symbol.dispose]: () => undefined,
  }
}

const kem = ({ encapsulator, decapsulator }: Kem): Kem => ({
  encapsulator: remembered((key): Encapsulator => encapsulator(key)),
  decapsulator: remembered((key) => lasting(decapsulator(key))),
})

/** The library's backend with cheap password hashes, and keys that are imported once. */
export const remembering: Backend = { ...quick, x25519: kem(quick.x25519), mlKem1024: kem(quick.mlKem1024) }
