import {
  type BlockReader,
  type BlockWriter,
  encodeBlock,
  openWriter,
  parseBlock,
  type SealedBlock,
} from '../../src/index.ts'
import { createCipheriv, createHash, createHmac, hkdfSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OpenedVault } from '../../src/vault/block.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { SecretKey } from '../../src/core/secret.ts'
import {
  backends,
  expectSame,
  failure,
  flipped,
  hex,
  makeKeyset,
  numRuns,
  patched,
  sample,
  withBackend,
} from '../fixtures.ts'
import { polyTag } from '../spec-reader-vault.ts'

const vaultOf = (key: number, id = 1) =>
  new OpenedVault(sample(16, id), new SecretKey('data', new Uint8Array(32).fill(key)))
const vault = vaultOf(7)

describe('a vault', () => {
  it.each([0, 1, 15, 16, 17, 1000, 8191, 8192, 300_000])(
    'opens the %d bytes that it sealed, on every backend',
    async (length) => {
      const content = sample(length)
      for (const sealing of backends) {
        const block = await withBackend(sealing, () => vault.seal(content))
        expect(block.envelope).toHaveLength(128)
        expect(block.ciphertext).toHaveLength(length)
        for (const opening of backends) {
          await withBackend(opening, async () => expectSame(await vaultOf(7).open(block), content))
        }
      }
    },
  )

  it('works as a BlockWriter and a BlockReader', async () => {
    async function roundTrip(door: BlockWriter & BlockReader) {
      const prepared = await door.prepare(sample(100))
      const sealed = await prepared.seal()
      expect(sealed.label).toBe(prepared.label)
      return door.open(parseBlock(encodeBlock(sealed), sealed.label))
    }
    expect(await roundTrip(vault)).toEqual(sample(100))
  })

  it('gives equal contents the same label, but different ciphertexts', async () => {
    const [one, other] = [await vault.seal(sample(100)), await vault.seal(sample(100))]
    expect(one.label).toBe(other.label)
    expect(hex(one.ciphertext)).not.toBe(hex(other.ciphertext))
    expect((await vaultOf(7, 2).prepare(sample(100))).label).not.toBe(one.label)
    expect((await vaultOf(8).prepare(sample(100))).label).not.toBe(one.label)
  })

  it('refuses a block of another vault or another key, and a keyset block', async () => {
    const block = await vault.seal(sample(100))
    await failure(() => vaultOf(7, 2).open(block), 'authentication-failed')
    await failure(() => vaultOf(8).open(block), 'authentication-failed')
    const keyset = await makeKeyset()
    const theirs = await openWriter(keyset.export('host')).seal(sample(100))
    await failure(() => vault.open(theirs), 'unsupported')
    await failure(() => keyset.open(block), 'unsupported')
  })

  it('refuses every flipped byte, every truncation and every other label', async () => {
    const block = await vault.seal(sample(200))
    for (let index = 0; index < 128; index++) {
      await failure(
        () => vault.open({ ...block, envelope: flipped(block.envelope, index, index % 8) }),
        'authentication-failed',
        'malformed',
        'unsupported',
      )
    }
    for (let index = 0; index < 200; index++) {
      await failure(
        () => vault.open({ ...block, ciphertext: flipped(block.ciphertext, index, index % 8) }),
        'authentication-failed',
      )
      await failure(
        () => vault.open({ ...block, ciphertext: block.ciphertext.subarray(0, index) }),
        'authentication-failed',
      )
    }
    const other = await vault.seal(sample(200, 2))
    await failure(() => vault.open({ ...block, label: other.label }), 'authentication-failed')
    await failure(() => vault.open({ ...block, envelope: other.envelope }), 'authentication-failed')
    await failure(() => vault.open({ ...block, label: block.label.toUpperCase() }), 'malformed')
    await failure(() => vault.open({ ...block, envelope: block.envelope.subarray(1) }), 'malformed')
    await failure(() => vault.open({ ...block, envelope: block.envelope.subarray(0, 127) }), 'malformed')
    await failure(() => vault.open({ ...block, envelope: patched(block.envelope, 6, [1, 2]) }), 'unsupported')
    await failure(() => vault.open({ ...block, ciphertext: new Uint8Array(64 * 2 ** 20 + 1) }), 'limit-exceeded')
    await failure(() => vault.prepare(new Uint8Array(64 * 2 ** 20 + 1)), 'limit-exceeded')
  })

  it('recomputes the label, and refuses a block that a key holder sealed under a wrong label', async () => {
    // Nonce, tag and commitment fit the label that the block was sealed with. But that is not the label of the content.
    const victim = await vault.prepare(sample(100))
    const { derived, seal } = independent(vault.id, 7)
    const forged = seal(sample(90, 5), Buffer.from(victim.label, 'hex'))
    expect(derived).toHaveLength(96)
    await failure(() => vault.open(forged), 'authentication-failed')
    const honest = await vault.prepare(sample(90, 5))
    expect(await vault.open(seal(sample(90, 5), Buffer.from(honest.label, 'hex')))).toEqual(sample(90, 5))
  })

  it('reads its arguments once, before it yields', async () => {
    for (const backend of backends) {
      await withBackend(backend, async () => {
        const content = sample(300_000)
        const sealing = vault.seal(content)
        content.fill(0)
        const block = await sealing
        const stored = {
          ...block,
          envelope: new Uint8Array(block.envelope),
          ciphertext: new Uint8Array(block.ciphertext),
        }
        const opening = vault.open(stored)
        stored.envelope.fill(0)
        stored.ciphertext.fill(0)
        expectSame(await opening, sample(300_000))
      })
    }
    const block = await vault.seal(sample(10))
    let reads = 0
    const restless = {
      ...block,
      get ciphertext() {
        return reads++ === 0 ? block.ciphertext : new Uint8Array(3)
      },
    }
    expect(await vault.open(restless)).toEqual(sample(10))
    await expect(vault.open({ ...block, ciphertext: 'x' as never })).rejects.toThrow(TypeError)
    await expect(vault.seal('x' as never)).rejects.toThrow(TypeError)
  })

  it('cannot be used after it is disposed of, and a prepared block can be sealed only once', async () => {
    const short = vaultOf(7)
    const [prepared, orphan] = [await short.prepare(sample(10)), await short.prepare(sample(10))]
    const block = await prepared.seal()
    await failure(() => prepared.seal(), 'disposed')
    short.dispose()
    await failure(() => orphan.seal(), 'disposed')
    await failure(() => short.open(block), 'disposed')
    await failure(() => short.prepare(sample(10)), 'disposed')
    expect(() => JSON.stringify(short)).toThrow(TypeError)
  })

  it('decrypts only after the tag was verified, and wipes content with a wrong label', async () => {
    const block = await vault.seal(sample(100))
    const buffers: Uint8Array[] = []
    const backend = backends[0]!
    useBackend({
      ...backend,
      ctr(key, counter, buffer) {
        buffers.push(buffer)
        return backend.ctr(key, counter, buffer)
      },
    })
    try {
      await failure(() => vault.open({ ...block, ciphertext: flipped(block.ciphertext, 5) }), 'authentication-failed')
      await failure(() => vault.open({ ...block, envelope: flipped(block.envelope, 100) }), 'authentication-failed')
      expect(buffers).toEqual([])
      const { seal } = independent(vault.id, 7)
      await failure(() => vault.open(seal(sample(90), sample(32))), 'authentication-failed')
      expect(buffers).toHaveLength(1)
      expect(buffers[0]!.every((byte) => byte === 0)).toBe(true)
    } finally {
      useBackend(undefined)
    }
  })

  it('property: any content opens to itself, and a block with one flipped bit does not open', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat(7), async (content, at, bit) => {
        const block = await vault.seal(content)
        expect(await vault.open(block)).toEqual(Uint8Array.from(content))
        const bytes = encodeBlock(block)
        const damaged = flipped(bytes, at % bytes.length, bit)
        await failure(
          () => vault.open(parseBlock(damaged, block.label)),
          'authentication-failed',
          'malformed',
          'unsupported',
        )
      }),
      { numRuns: numRuns(200, 5000) },
    )
  })
})

/** Implements SPEC §15 again, with node:crypto only. Anyone with the A-key can create these blocks. */
function independent(vaultId: string, key: number) {
  const lengthPrefixed = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const domain = (label: string) => lengthPrefixed(Buffer.from(`keystrata/v1/${label}`))
  const kdf = (salt: Uint8Array, label: string, context: Uint8Array[], length: number) => {
    const info = Buffer.concat([
      domain(label),
      ...context.map(lengthPrefixed),
      Buffer.from([length >> 8, length & 255]),
    ])
    return Buffer.from(hkdfSync('sha512', Buffer.alloc(32, key), salt, info, length))
  }
  const id = Buffer.from(vaultId, 'hex')
  const nonce = Buffer.alloc(32, 0x42)
  const derived = kdf(nonce, 'ctr-poly1305', [Buffer.from([4]), id], 96)
  const seal = (content: Uint8Array, label: Uint8Array): SealedBlock => {
    const keyId = kdf(Buffer.alloc(0), 'key-id', [], 16)
    const header = Buffer.concat([Buffer.from('4b535452010402010000000000000000', 'hex'), keyId, id])
    const cipher = createCipheriv('aes-256-ctr', derived.subarray(0, 32), Buffer.alloc(16))
    const ciphertext = cipher.update(content)
    const commitment = derived.subarray(64)
    const aad = Buffer.concat([
      domain('aad'),
      header,
      lengthPrefixed(Buffer.concat([nonce, commitment])),
      lengthPrefixed(label),
    ])
    const lengths = Buffer.alloc(16)
    lengths.writeBigUInt64BE(BigInt(aad.length))
    lengths.writeBigUInt64BE(BigInt(ciphertext.length), 8)
    const tag = polyTag(derived.subarray(32, 64), Buffer.concat([aad, ciphertext, lengths]))
    const envelope = Buffer.concat([header, nonce, commitment, tag])
    return { label: Buffer.from(label).toString('hex'), envelope, ciphertext }
  }
  const labelKey = kdf(Buffer.alloc(0), 'block-label', [id], 32)
  const labelOf = (content: Uint8Array) =>
    createHmac('sha256', labelKey).update(createHash('sha256').update(content).digest()).digest()
  return { derived, seal, labelOf }
}

it('a block sealed as in SPEC §15 with node:crypto only opens', async () => {
  const { seal, labelOf } = independent(vault.id, 7)
  const block = seal(sample(1000), labelOf(sample(1000)))
  expect((await vault.prepare(sample(1000))).label).toBe(block.label)
  for (const backend of backends) {
    await withBackend(backend, async () => expectSame(await vault.open(block), sample(1000)))
  }
})
