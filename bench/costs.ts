// Where the time of one block goes: its primitives one by one, and what is left of the whole for deriving keys, writing the
// envelope and memory.
import type { KeysetReader } from '../src/index.ts'
import { backend } from '../src/primitives/backend.ts'
import { bareAgreements, bareGcm, contentOf } from './bare.ts'
import { timeEach, type Work } from './measure.ts'

export interface CostRow {
  bytes: number
  work: 'seal' | 'open'
  part: 'SHA-256' | 'AES-256-GCM' | 'X25519' | 'ML-KEM-1024' | 'the rest'
  microseconds: number
}

/** @param keyset whose default is hybrid */
export async function benchCosts(keyset: KeysetReader, bytes: number, rounds: number): Promise<CostRow[]> {
  const on = backend()
  const writer = keyset.writer({ encryption: 'hybrid' })
  const content = contentOf(bytes)
  const block = await writer.seal(content)
  const gcm = await bareGcm(on, content)
  const [x25519, mlKem] = bareAgreements(on, true).map(({ own, sender, ciphertext }) => ({
    seal: async () => sender.encapsulate(),
    open: async () => own.decapsulate(ciphertext),
  })) as [Record<'seal' | 'open', Work>, Record<'seal' | 'open', Work>]
  const hash = () => on.digestContent(content, [{ hash: 'sha256' }])

  const rows: CostRow[] = []
  for (const work of ['seal', 'open'] as const) {
    const whole = work === 'seal' ? () => writer.seal(content) : () => keyset.open(block)
    const times = await timeEach([hash, gcm[work], x25519[work], mlKem[work], whole], rounds)
    const [ofHash, ofGcm, ofX25519, ofMlKem, all] = times.map((time) => 1000 * time) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const parts = { 'SHA-256': ofHash, 'AES-256-GCM': ofGcm, X25519: ofX25519, 'ML-KEM-1024': ofMlKem }
    const rest = Math.max(0, all - ofHash - ofGcm - ofX25519 - ofMlKem)
    for (const [part, microseconds] of Object.entries({ ...parts, 'the rest': rest })) {
      rows.push({ bytes, work, part: part as CostRow['part'], microseconds: Math.round(microseconds) })
    }
  }
  writer.dispose()
  return rows
}
