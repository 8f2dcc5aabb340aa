// Seals a block, opens it, and opens it damaged: in the calling thread, and in the threads of a pool.
import { createKeyset } from 'keystrata'
import { createPool } from 'keystrata/pool'

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const newKeyset = () => createKeyset('correct horse battery staple', { costs })

export async function roundTrip() {
  const keyset = await newKeyset()
  const found = await sealAndOpen(keyset, keyset)
  keyset.dispose()
  return found
}

/** Does the same in a pool that gets these options. An error becomes its text. */
export async function poolRoundTrip(options) {
  const keyset = await newKeyset()
  try {
    const pool = createPool(options)
    const found = await sealAndOpen(pool.writer(keyset), pool.reader(keyset))
    await pool.close()
    return found
  } catch (error) {
    return `${error.name}: ${error.message}`
  } finally {
    keyset.dispose()
  }
}

async function sealAndOpen(writer, reader) {
  const block = await writer.seal(new TextEncoder().encode('my file'))
  const text = new TextDecoder().decode(await reader.open(block))
  const ciphertext = block.ciphertext.map((byte, index) => (index === 0 ? byte ^ 1 : byte))
  const damaged = await reader.open({ ...block, ciphertext }).catch((error) => error.code ?? String(error))
  return { text, damaged }
}
