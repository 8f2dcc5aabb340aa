// Shared by several benches: test contents, and the bare primitives to compare with, prepared so that only their own
// work is timed.
import { strict as assert } from 'node:assert'
import { type Backend, type Decapsulator, type Encapsulator } from '../src/primitives/backend.ts'

export function contentOf(bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, index) => index * 31 + (index >> 8))
}

export interface BareAgreement {
  readonly own: Decapsulator
  readonly sender: Encapsulator
  /** A ciphertext for `own` to decapsulate. */
  readonly ciphertext: Uint8Array
}

/** Prepares X25519 and, for hybrid, ML-KEM-1024 after it. */
export function bareAgreements(on: Backend, isHybrid: boolean): BareAgreement[] {
  return (isHybrid ? [on.x25519, on.mlKem1024] : [on.x25519]).map((kem, index) => {
    const own = kem.decapsulator(new Uint8Array(index === 0 ? 32 : 64).fill(7))
    const sender = kem.encapsulator(own.publicKey)
    return { own, sender, ciphertext: sender.encapsulate().ciphertext }
  })
}

/** Prepares AES-256-GCM in a buffer that is already allocated. */
export async function bareGcm(
  on: Backend,
  content: Uint8Array,
): Promise<{ seal: () => Promise<void>; open: () => Promise<Uint8Array> }> {
  const [key, iv, aad] = [new Uint8Array(32).fill(1), new Uint8Array(12), new Uint8Array(32)]
  const buffer = new Uint8Array(content.length + 16)
  buffer.set(content)
  await on.gcmSealContent(key, iv, aad, buffer)
  const sealed = new Uint8Array(buffer)
  return {
    seal: () => on.gcmSealContent(key, iv, aad, buffer),
    async open() {
      const text = await on.gcmOpenContent(key, iv, aad, sealed)
      assert(text)
      return text
    },
  }
}
