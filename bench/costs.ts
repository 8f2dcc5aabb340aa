// Where the time for one block goes: each primitive on its own, and the rest for deriving keys, writing the envelope
// and allocating memory.
import { backend } from '../test/platforms.ts'
import { type Keyset, openWriter } from '../src/index.ts'
import { bareAgreements, bareGcm, contentOf } from './bare.ts'
import { timeEach, type Work } from './measure.ts'

/** The parts of a block. The last one is the total minus the others. */
export const PARTS = ['SHA-256', 'AES-256-GCM', 'X25519', 'ML-KEM-1024', 'the rest'] as const

export interface CostRow {
  bytes: number
  work: 'seal' | 'open'
  part: (typeof PARTS)[number]
  microseconds: number
}

/**
 * Measures the parts of sealing and opening one block.
 * @param keyset a keyset that can write hybrid blocks
 */
export async function benchCosts(keyset: Keyset, bytes: number, rounds: number): Promise<CostRow[]> {
  const on = backend()
  const writer = openWriter(keyset.export('host'), { encryption: 'hybrid' })
  const content = contentOf(bytes)
  const block = await writer.seal(content)
  const hash = () => on.digestContent(content, [{ hash: 'sha256' }])
  const agreements = bareAgreements(on, true).map(({ own, sender, ciphertext }) => ({
    seal: async () => sender.encapsulate(),
    open: async () => own.decapsulate(ciphertext),
  }))
  const parts = [{ seal: hash, open: hash }, await bareGcm(on, content), ...agreements]
  const whole = { seal: () => writer.seal(content), open: () => keyset.open(block) }

  const rows: CostRow[] = []
  for (const work of ['seal', 'open'] as const) {
    const times = await timeEach(
      [...parts, whole].map((each): Work => each[work]),
      rounds,
    )
    const rest = times.reduceRight((left, part) => left - part)
    for (const [index, part] of PARTS.entries()) {
      const milliseconds = part === 'the rest' ? Math.max(0, rest) : times[index]!
      rows.push({ bytes, work, part, microseconds: Math.round(1000 * milliseconds) })
    }
  }
  writer.dispose()
  return rows
}
