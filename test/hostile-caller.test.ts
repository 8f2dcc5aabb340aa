// Callers that change their arguments during a call, and arguments that are not what they seem.
import { createKeyset, openWriter, parseCard, type SealedBlock, unlockKeyset } from '../src/index.ts'
import { delegate, openDelegation } from '../src/fleet.ts'
import { describe, expect, it } from 'vitest'
import { CHEAP, failure, makeKeyset, PASSWORD, sample } from './fixtures.ts'
import { memoryInUse } from './memory.ts'

const keyset = await makeKeyset()
const block = await openWriter(keyset.export('host')).seal(sample(100))

describe('options that change while a call runs', () => {
  it('the stored costs are those that the password was hashed with', async () => {
    const costs = { ...CHEAP }
    const creating = createKeyset(PASSWORD, { costs })
    costs.iterations = 3
    const created = await creating
    expect((await unlockKeyset(created.export('host'), PASSWORD)).id).toBe(created.id)
  })

  it('empty costs are a TypeError', async () => {
    await expect(createKeyset(PASSWORD, { costs: {} as never })).rejects.toThrow(TypeError)
    await expect(unlockKeyset(keyset.export('host'), PASSWORD, { costs: {} as never })).rejects.toThrow(TypeError)
  })

  it('a name must be a string, not an array that converts to one', async () => {
    expect(() => openWriter(keyset.export('host'), { encryption: ['hybrid'] as never })).toThrow(TypeError)
    expect(() => keyset.export(['host'] as never)).toThrow(TypeError)
    await expect(createKeyset(PASSWORD, { costs: CHEAP, dedup: ['off'] as never })).rejects.toThrow(TypeError)
  })
})

describe('blocks whose properties change between reads', () => {
  it('are read once', async () => {
    const reads = { label: 0, envelope: 0, ciphertext: 0 }
    const restless: SealedBlock = {
      get label() {
        return reads.label++ === 0 ? block.label : 'x'
      },
      get envelope() {
        return reads.envelope++ === 0 ? block.envelope : ([1, 2, 3] as never)
      },
      get ciphertext() {
        return reads.ciphertext++ === 0 ? block.ciphertext : ((2 ** 40) as never)
      },
    }
    expect(await keyset.open(restless)).toEqual(sample(100))
    expect(reads).toEqual({ label: 1, envelope: 1, ciphertext: 1 })
  })
})

describe('caller code that runs during a call', () => {
  it('cannot seal one prepared block twice', async () => {
    const prepared = await openWriter(keyset.export('host')).prepare(sample(100))
    let inner: Promise<SealedBlock> | undefined
    const options = {
      get shares() {
        inner ??= prepared.seal()
        return []
      },
    }
    await failure(() => prepared.seal(options), 'disposed')
    expect(await keyset.open(await inner!)).toEqual(sample(100))
    const again = await openWriter(keyset.export('host')).prepare(sample(100))
    const ids = Object.assign([''], {
      [Symbol.iterator]: () => {
        again.dispose()
        return [][Symbol.iterator]()
      },
    })
    await failure(() => again.seal({ shares: ids }), 'disposed')
    await failure(() => again.envelopesFor(ids), 'disposed')
  })

  it('cannot make rekey return an unchecked envelope', async () => {
    const open = await makeKeyset({ encryption: 'none' })
    const plain = await open.seal(sample(100))
    let reads = 0
    const head = {
      label: plain.label,
      get envelope() {
        return reads++ === 0 ? plain.envelope : sample(49)
      },
    }
    expect(open.rekey(head)).toEqual(plain.envelope)
    expect(reads).toBe(1)
    reads = 0
    const from = open.card()
    using delegation = openDelegation(delegate(open, from, { until: new Date(2 ** 42) }), open, { from })
    expect(delegation.rekey(head)).toEqual(plain.envelope)
    expect(reads).toBe(1)
  })
})

describe('a buffer that was transferred away', () => {
  const detached = () => {
    const bytes = sample(100)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    return bytes
  }

  it('is refused, and never sealed as empty content', async () => {
    await expect(openWriter(keyset.export('host')).seal(detached())).rejects.toThrow(TypeError)
    await expect(keyset.open({ ...block, ciphertext: detached() })).rejects.toThrow(TypeError)
    await expect(unlockKeyset(detached(), PASSWORD)).rejects.toThrow(TypeError)
  })
})

describe('huge inputs', () => {
  // Bun reports neither the memory of buffers nor the memory in use.
  it.skipIf(process.versions['bun'])(
    'are refused because of their length, before anything is copied or parsed',
    async () => {
      const huge = new Uint8Array(256 * 1024 * 1024)
      huge.set(block.envelope)
      const before = memoryInUse()
      await failure(() => keyset.open({ ...block, envelope: huge }), 'malformed')
      await failure(() => unlockKeyset(huge, PASSWORD), 'limit-exceeded')
      huge.set(keyset.card().bytes)
      await failure(() => parseCard(huge), 'malformed')
      const { share } = keyset.createShare()
      huge.set(share.invite(keyset.card()))
      await failure(() => keyset.acceptShare(huge, keyset.card()), 'malformed')
      await failure(() => share.add({ ...block, envelope: huge }), 'malformed')
      const card = keyset.card()
      huge.set(delegate(keyset, card, { until: new Date(2 ** 42) }))
      await failure(() => openDelegation(huge, keyset, { from: card }), 'limit-exceeded')
      // A copy of the input would take 256 MiB. The heap grows by a few MiB anyway.
      expect(memoryInUse() - before).toBeLessThan(32 * 1024 * 1024)
    },
  )
})

describe('dispose during a call', () => {
  it('gives `disposed` or the correct content, and never another error', async () => {
    for (const dedup of ['scoped', 'global', 'off'] as const) {
      const other = await makeKeyset()
      const theirs = await openWriter(other.export('host'), { dedup }).seal(sample(100))
      const opening = other.open(theirs).catch((error: unknown) => (error as { code: string }).code)
      other.dispose()
      expect(['disposed', sample(100)]).toContainEqual(await opening)
    }
  })
})
