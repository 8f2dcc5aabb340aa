// Runs in the page: compares AES of crypto.subtle with portable AES, alone and in whole blocks.
import { backend, portableBackend } from '../../test/platforms.ts'
import { createKeyset, openWriter } from '../../src/index.ts'
import { type Backend } from '../../src/primitives/backend.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { contentOf } from '../bare.ts'
import { compare } from '../measure.ts'

export interface BrowserRow {
  work: 'AES-256-GCM' | 'seal, hybrid scoped'
  bytes: number
  /** MB/s. */
  web: number
  portable: number
  /** The speed of WebCrypto divided by that of portable code: the median of rounds that took turns. */
  gain: number
}

async function measure(): Promise<{ browser: string; rows: BrowserRow[] }> {
  const web = backend()
  if (web.name !== 'web') throw new Error(`this bench needs the web backend, but this page uses ${web.name}`)
  const keyset = await createKeyset('password', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
  const writer = openWriter(keyset.export('host'))
  const rows: BrowserRow[] = []
  for (const bytes of [64 * 1024, 1024 * 1024, 8 * 1024 * 1024]) {
    const content = contentOf(bytes)
    const [key, iv, aad, buffer] = [
      new Uint8Array(32),
      new Uint8Array(12),
      new Uint8Array(32),
      new Uint8Array(bytes + 16),
    ]
    const cipher = (on: Backend) => () => on.gcmSealContent(key, iv, aad, buffer)
    const seal = (on: Backend) => () => {
      useBackend(on)
      return writer.seal(content)
    }
    for (const on of [web, portableBackend]) {
      const opened = await keyset.open(await seal(on)())
      if (opened.some((byte, index) => byte !== content[index]))
        throw new Error('the opened block differs from the sealed content')
    }
    for (const [work, by] of [
      ['AES-256-GCM', cipher],
      ['seal, hybrid scoped', seal],
    ] as const) {
      const { ours, bare, ratio } = await compare(by(web), by(portableBackend), 9)
      const speed = (milliseconds: number) => Math.round(bytes / 1000 / milliseconds)
      rows.push({ work, bytes, web: speed(ours), portable: speed(bare), gain: ratio })
    }
  }
  const { navigator } = globalThis as unknown as { navigator: { userAgent: string } }
  return { browser: navigator.userAgent, rows }
}

const answer = await measure().catch((error: unknown) => ({ error: String(error) }))
await fetch('/result', { method: 'POST', body: JSON.stringify(answer) })
