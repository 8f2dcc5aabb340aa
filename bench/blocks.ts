// Sealing and opening blocks, compared with the bare primitives that this needs: the hash, the cipher with its tag, and
// the key agreements.
import { backend } from '../test/platforms.ts'
import { type BlockReader, type BlockWriter, type Keyset, openWriter, type WriterOptions } from '../src/index.ts'
import { type Client } from '../src/client.ts'
import { type Vault } from '../src/vault.ts'
import { strict as assert } from 'node:assert'
import { type Backend, type ContentDigest } from '../src/primitives/backend.ts'
import { type BareAgreement, bareAgreements, bareGcm, contentOf } from './bare.ts'
import { compare, type Comparison } from './measure.ts'

export interface Row {
  bytes: number
  /** The key model; for a keyset, its encryption and dedup mode. */
  model: string
  work: 'seal' | 'open'
  /** The time for one block. */
  microseconds: number
  /** MB/s, of 10⁶ bytes. */
  mbPerSecond: number
  bareMbPerSecond: number
  /** Our speed divided by the bare speed. */
  ratio: number
}

type Chosen = Required<WriterOptions>

const SHA256: readonly ContentDigest[] = [{ hash: 'sha256' }]
const GLOBAL: readonly ContentDigest[] = [{ hash: 'sha256', suffix: new Uint8Array(32) }, { hash: 'sha3-256' }]

export async function benchKeyset(keyset: Keyset, bytes: number, chosen: Chosen, rounds: number): Promise<Row[]> {
  const bare = (content: Uint8Array) => bareWork(backend(), content, chosen)
  const model = `${chosen.encryption} ${chosen.dedup}`
  return benchDoor(openWriter(keyset.export('host'), chosen), keyset, bare, { bytes, model, rounds })
}

export async function benchVault(vault: Vault, bytes: number, rounds: number): Promise<Row[]> {
  return benchDoor(vault, vault, (content) => bareVaultWork(backend(), content), { bytes, model: 'vault', rounds })
}

/**
 * Measures sealing and opening a client's blocks.
 * @param client a client with an AES-256 private key
 */
export async function benchClient(client: Client, bytes: number, rounds: number): Promise<Row[]> {
  return benchDoor(client.scope('private'), client, (content) => bareEncrypted(backend(), content, SHA256, []), {
    bytes,
    model: 'client',
    rounds,
  })
}

interface Work {
  seal(): Promise<void>
  open(): Promise<void>
}

async function benchDoor(
  writer: BlockWriter,
  reader: BlockReader,
  bareFor: (content: Uint8Array) => Promise<Work>,
  { bytes, model, rounds }: { bytes: number; model: string; rounds: number },
): Promise<Row[]> {
  const content = contentOf(bytes)
  const block = await writer.seal(content)
  assert.equal(Buffer.compare(await reader.open(block), content), 0, 'the opened block has the sealed content')

  const bare = await bareFor(content)
  const row = (work: 'seal' | 'open', { ours, bare, ratio }: Comparison): Row => {
    const speed = (milliseconds: number) => Number((bytes / 1000 / milliseconds).toPrecision(3))
    return {
      bytes,
      model,
      work,
      microseconds: Math.round(1000 * ours),
      mbPerSecond: speed(ours),
      bareMbPerSecond: speed(bare),
      ratio,
    }
  }
  return [
    row('seal', await compare(() => writer.seal(content), bare.seal, rounds)),
    row('open', await compare(() => reader.open(block), bare.open, rounds)),
  ]
}

/** Prepares the primitives of one block, one after the other, in buffers that are already allocated. */
async function bareWork(on: Backend, content: Uint8Array, { encryption, dedup }: Chosen): Promise<Work> {
  if (encryption === 'none') {
    const hashed = async () => {
      await on.digestContent(content, SHA256)
    }
    return { seal: hashed, open: hashed }
  }
  return bareEncrypted(on, content, dedup === 'global' ? GLOBAL : SHA256, bareAgreements(on, encryption === 'hybrid'))
}

/** Prepares the hash, AES-256-GCM and the key agreements. A client's block has no agreements. */
async function bareEncrypted(
  on: Backend,
  content: Uint8Array,
  digests: readonly ContentDigest[],
  agreements: readonly BareAgreement[],
): Promise<Work> {
  const { seal, open } = await bareGcm(on, content)
  return {
    async seal() {
      await on.digestContent(content, digests)
      await seal()
      for (const { sender } of agreements) sender.encapsulate()
    },
    async open() {
      for (const { own, ciphertext } of agreements) own.decapsulate(ciphertext)
      await on.digestContent(await open(), digests)
    },
  }
}

/** Prepares AES-256-CTR, Poly1305 and the hash of a vault's block. */
async function bareVaultWork(on: Backend, content: Uint8Array): Promise<Work> {
  const [key, macKey, counter] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2), new Uint8Array(16)]
  const buffer = new Uint8Array(content)
  return {
    async seal() {
      await on.digestContent(content, SHA256)
      await on.ctr(key, counter, buffer)
      await on.chachaPolyTag(macKey, [buffer])
    },
    async open() {
      await on.chachaPolyTag(macKey, [buffer])
      await on.ctr(key, counter, buffer)
      await on.digestContent(buffer, SHA256)
    },
  }
}
