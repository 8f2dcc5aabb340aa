// Where the time of one block goes: its primitives one by one, and what is left of the whole for deriving keys, writing the
// envelope and memory.
import type { KeysetReader } from '../src/index.ts'
import { backend } from '../src/primitives/backend.ts'
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
  const content = new Uint8Array(bytes).map((_, index) => index * 31)
  const block = await writer.seal(content)
  const [key, iv, aad] = [new Uint8Array(32), new Uint8Array(12), new Uint8Array(32)]
  const buffer = new Uint8Array(bytes + 16)
  await on.gcmSealContent(key, iv, aad, buffer)
  const sealed = new Uint8Array(buffer)
  const kems = ([on.x25519, on.mlKem1024] as const).map((kem, index) => {
    const own = kem.decapsulator(new Uint8Array(index === 0 ? 32 : 64).fill(7))
    const sender = kem.encapsulator(own.publicKey)
    const { ciphertext } = sender.encapsulate()
    return { seal: async () => sender.encapsulate(), open: async () => own.decapsulate(ciphertext) }
  }) as [Record<'seal' | 'open', Work>, Record<'seal' | 'open', Work>]
  const hash = () => on.digestContent(content, [{ hash: 'sha256' }])

  const rows: CostRow[] = []
  for (const work of ['seal', 'open'] as const) {
    const cipher =
      work === 'seal' ? () => on.gcmSealContent(key, iv, aad, buffer) : () => on.gcmOpenContent(key, iv, aad, sealed)
    const whole = work === 'seal' ? () => writer.seal(content) : () => keyset.open(block)
    const times = await timeEach([hash, cipher, kems[0][work], kems[1][work], whole], rounds)
    const [sha, gcm, x25519, mlKem, all] = times.map((time) => 1000 * time) as [number, number, number, number, number]
    const parts = { 'SHA-256': sha, 'AES-256-GCM': gcm, X25519: x25519, 'ML-KEM-1024': mlKem }
    const rest = Math.max(0, all - sha - gcm - x25519 - mlKem)
    for (const [part, microseconds] of Object.entries({ ...parts, 'the rest': rest })) {
      rows.push({ bytes, work, part: part as CostRow['part'], microseconds: Math.round(microseconds) })
    }
  }
  writer.dispose()
  return rows
}
