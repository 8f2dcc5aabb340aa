// Seals a block, opens it, and opens it damaged.
import { createKeyset } from 'keystrata'

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }

export async function roundTrip() {
  const keyset = await createKeyset('correct horse battery staple', { costs })
  const block = await keyset.seal(new TextEncoder().encode('my file'))
  const text = new TextDecoder().decode(await keyset.open(block))
  const ciphertext = block.ciphertext.map((byte, index) => (index === 0 ? byte ^ 1 : byte))
  const damaged = await keyset.open({ ...block, ciphertext }).catch((error) => error.code ?? String(error))
  keyset.dispose()
  return { text, damaged }
}
