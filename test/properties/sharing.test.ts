// Laws of shares and of keyset changes, for any content and any order of events.
import {
  type Keyset,
  openWriter,
  type SealedBlock,
  type Share,
  type SharedReader,
  unlockKeyset,
} from '../../src/index.ts'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useBackend } from '../../src/primitives/choice.ts'
import { CHEAP, failure, flipped, makeKeyset, numRuns, PASSWORD, quick, quickly } from '../fixtures.ts'

// These tests are not about the cost of a password.
beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const runs = (usual: number, long: number) => ({ numRuns: numRuns(usual, long) })

const [alice, bob] = await quickly(() => Promise.all([makeKeyset({ encryption: 'x25519' }), makeKeyset()]))
const [aliceCard, bobCard] = [alice.card(), bob.card()]

const content = fc.uint8Array({ maxLength: 300 })
const mode = fc.record({
  dedup: fc.constantFrom('scoped', 'global', 'off'),
  encryption: fc.constantFrom('hybrid', 'x25519'),
})

interface Opened {
  owner: Keyset
  share: Share
  reader: SharedReader
}
function opened(isStraight: boolean): Opened {
  const { keyset: owner, share } = alice.createShare(isStraight ? { to: bobCard } : {})
  return { owner, share, reader: bob.acceptShare(share.invite(bobCard), aliceCard) }
}
const shares = [opened(false), opened(true), opened(false)]
const anyShare = fc.nat(shares.length - 1)

describe('a share', () => {
  it('opens exactly the blocks added to it, in every mode, however they were added', async () => {
    const way = fc.constantFrom('added', 'sealed', 'stored', 'not at all')
    const plan = fc.array(fc.record({ content, mode, way, to: anyShare }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(plan, async (items) => {
        for (const { content: bytes, mode: chosen, way: how, to } of items) {
          const { owner, share } = shares[to]!
          const writer = openWriter(owner.export('host'), chosen)
          const block = await writer.seal(bytes, how === 'sealed' ? { shares: [share.id] } : {})
          let envelope = block.shared?.get(share.id)
          if (how === 'added' || (how === 'stored' && chosen.dedup === 'off')) envelope = share.add(block)
          else if (how === 'stored')
            envelope = (await (await writer.prepare(bytes)).envelopesFor([share.id])).get(share.id)
          for (const [index, { reader }] of shares.entries()) {
            await failure(() => reader.open(block), 'key-not-found')
            if (envelope === undefined) continue
            const given: SealedBlock = { label: block.label, envelope, ciphertext: block.ciphertext }
            if (index === to) expect(await reader.open(given)).toEqual(Uint8Array.from(bytes))
            else await failure(() => reader.open(given), 'key-not-found', 'authentication-failed')
            await failure(() => owner.open(given), 'key-not-found')
          }
        }
      }),
      runs(25, 1000),
    )
  })

  it('that was revoked opens nothing that is sealed later', async () => {
    await fc.assert(
      fc.asyncProperty(content, mode, anyShare, async (bytes, chosen, index) => {
        const { owner, share, reader } = shares[index]!
        const revoked = owner.revokeShare(share.id)
        const writer = openWriter(revoked.export('host'), chosen)
        await failure(() => writer.seal(bytes, { shares: [share.id] }), 'key-not-found')
        await failure(() => revoked.share(share.id), 'key-not-found')
        const block = await writer.seal(bytes)
        await failure(() => reader.open(block), 'key-not-found')
        expect(await revoked.open(block)).toEqual(Uint8Array.from(bytes))
      }),
      runs(25, 1000),
    )
  })

  it('accepts no envelope, block or invite with a flipped bit', async () => {
    await fc.assert(
      fc.asyncProperty(content, mode, anyShare, fc.nat(), fc.nat(7), async (bytes, chosen, index, position, bit) => {
        const { owner, share, reader } = shares[index]!
        const block = await openWriter(owner.export('host'), chosen).seal(bytes)
        const refused = ['authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy'] as const
        const damaged = (whole: Uint8Array) => flipped(whole, position % whole.length, bit)
        await failure(() => share.add({ ...block, envelope: damaged(block.envelope) }), ...refused)
        const envelope = share.add(block)
        await failure(() => reader.open({ ...block, envelope: damaged(envelope) }), ...refused)
        await failure(() => reader.open({ ...block, envelope, ciphertext: damaged(block.ciphertext) }), ...refused)
        await failure(() => bob.acceptShare(damaged(share.invite(bobCard)), aliceCard), ...refused)
      }),
      runs(25, 1000),
    )
  })
})

describe('a keyset', () => {
  it('loses no key through an export, for every export that it is unlocked from', async () => {
    // Which export is unlocked, and which change follows. A source definition must refuse what it cannot do.
    const destination = fc.constantFrom('host', 'storage', 'definition')
    const change = fc.constantFrom('password', 'regenerate', 'share', 'revoke', 'forget', 'nothing')
    const steps = fc.array(fc.record({ destination, change }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(content, mode, steps, async (bytes, chosen, plan) => {
        let keyset = alice
        let isComplete = true
        let password = PASSWORD
        let block = await openWriter(keyset.export('host'), chosen).seal(bytes)
        for (const step of plan) {
          if (!isComplete && step.destination !== 'definition') {
            // An export with fewer keys must never replace one with all keys.
            await failure(() => keyset.export(step.destination), 'policy')
          }
          const from: typeof step.destination = isComplete ? step.destination : 'definition'
          keyset = await unlockKeyset(keyset.export(from), password)
          isComplete &&= from !== 'definition'
          const changes: Record<typeof step.change, () => Keyset | Promise<Keyset>> = {
            password: async () => {
              const changed = await keyset.changePassword(`${password}.`, { costs: CHEAP })
              password += '.'
              return changed
            },
            regenerate: () => keyset.regenerate(),
            share: () => keyset.createShare().keyset,
            revoke: () => keyset.revokeShare(keyset.shares[0]!),
            forget: () => {
              // A source definition may lack the key pair that the block is sealed to.
              if (isComplete) block = { ...block, envelope: keyset.rekey(block) }
              return keyset.forgetRetired('unchecked')
            },
            nothing: () => keyset,
          }
          const before = { shares: keyset.shares, revision: keyset.revision }
          if (step.change === 'revoke' && isComplete && before.shares.length === 0) continue
          if (!isComplete && step.change !== 'nothing') {
            await failure(changes[step.change], 'policy')
            continue
          }
          keyset = await changes[step.change]()
          // Every active share is still there, with its keys.
          const kept = before.shares.slice(step.change === 'revoke' ? 1 : 0)
          expect(keyset.shares.slice(0, kept.length)).toEqual(kept)
          if (keyset.shares.length > 0) keyset.share(keyset.shares[0]!).invite(bobCard)
          if (isComplete) expect(keyset.card()).toEqual(aliceCard)
        }
        // A source definition has no retired key pairs: it opens only what is sealed to the current pair.
        const envelope = keyset.isCurrent(block.envelope) || isComplete ? block.envelope : undefined
        if (envelope !== undefined) expect(await keyset.open(block)).toEqual(Uint8Array.from(bytes))
        else await failure(() => keyset.open(block), 'key-not-found')
      }),
      { ...runs(8, 300), endOnFailure: true },
    )
  })
})
