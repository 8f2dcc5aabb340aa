// Reads the frozen vectors of SPEC §21 with the library, and with the reader written from SPEC.md alone. Then each of the two
// opens what the other rekeyed.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import { publicKeyId } from '../../src/core/key-pairs.ts'
import { recipeOf } from '../../src/core/recipe.ts'
import { disposeKeys, SecretKey } from '../../src/core/secret.ts'
import { openDelegation } from '../../src/fleet.ts'
import { type Keyset, parseBlock, parseCard, unlockKeyset } from '../../src/index.ts'
import { unlocked } from '../../src/keyset/keyset.ts'
import { envelopeKeysOf, openBlock } from '../../src/keyset/open.ts'
import type { RekeyRecipe } from '../../src/keyset/rekey.ts'
import { expectSame, hex, patched, resummed, unhex } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { openKeyset, openUnlabelled } from '../spec-reader.ts'
import * as spec from '../spec-reader-fleet.ts'
import { delegationOf } from './make-delegation.ts'
import {
  type DelegatedHeadVector,
  delegatedHeadVectors,
  type DelegationVector,
  delegationVectors,
  keysetVectors,
  outcome,
} from './vectors.ts'

const buffer = (text: string) => Buffer.from(text, 'hex')

// The fleet of the vectors.
const fleet = unlocked(plantedContents(), plantedMaster.copy(), undefined)
const { export: stored, password } = keysetVectors().find(({ id }) => id === 'host-full')!
const theirFleet = openKeyset(unhex(stored), password)

beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterAll(() => void vi.useRealTimers())

/** Opens a delegation with the library, at that time. */
function openedAt(now: number, { delegation, card }: Pick<DelegationVector, 'delegation' | 'card'>, by = fleet) {
  vi.setSystemTime(now)
  return openDelegation(unhex(delegation), by, { from: parseCard(unhex(card)) })
}
async function fleetOf({ fleet: id }: DelegationVector): Promise<Keyset> {
  if (id === undefined) return fleet
  const { export: bytes, password } = keysetVectors().find((vector) => vector.id === id)!
  return unlockKeyset(unhex(bytes), password)
}
const theirsAt = (now: number, { delegation, card }: Pick<DelegationVector, 'delegation' | 'card'>) =>
  spec.openDelegation(buffer(delegation), buffer(card), theirFleet, now)

describe('delegation.json', () => {
  it.each(delegationVectors())('$id: $comment', async ({ now, ...vector }) => {
    const { keysetId, revision, until, encryption, minimum, pairs, adopted } = vector
    const ours = outcome(async () => {
      const by = await fleetOf({ now, ...vector })
      using opened = openedAt(now, vector, by)
      expect([opened.id, opened.revision, opened.until.getTime()]).toEqual([keysetId, revision, until])
      const { owner } = recipeOf(opened) as RekeyRecipe
      const halves = [owner.blockPair, ...owner.retired].map((pair) => pair.publicHalves)
      expect(halves.map((half) => hex(publicKeyId(half)))).toEqual(pairs)
      expect([owner.encryption, owner.blockPair.publicHalves.minimum]).toEqual([encryption, minimum])
      expect(owner.adopted.map(({ id }) => hex(id))).toEqual(adopted)
      disposeKeys(owner)
    })
    expect(await ours).toBe(vector.expect)
  })

  it('a delegation has at most 1 MiB', async () => {
    const card = delegationVectors()[0]!.card
    const sized = (size: number) => resummed(patched(new Uint8Array(size), 0, delegationOf()))
    for (const [size, code] of [
      [1_048_576, 'malformed'],
      [1_048_577, 'limit-exceeded'],
    ] as const) {
      const vector = { delegation: hex(sized(size)), card }
      expect(await outcome(() => openedAt(0, vector))).toBe(code)
      expect(await outcome(() => theirsAt(0, vector))).toBe(code)
    }
    const damaged = { delegation: '00'.repeat(1_048_577), card }
    expect(await outcome(() => openedAt(0, damaged))).toBe('limit-exceeded')
    expect(await outcome(() => theirsAt(0, damaged))).toBe('limit-exceeded')
  })
})

const delegations = new Map(delegationVectors().map((vector) => [vector.id, vector]))

/** Opens a block with the library, as the owner of the delegation would. */
async function openWith(current: string, by: DelegationVector, bytes: Uint8Array, label: string): Promise<Uint8Array> {
  using delegation = openedAt(by.now, by)
  const { owner } = recipeOf(delegation) as RekeyRecipe
  const [x25519, mlKem1024] = [unhex(current.slice(0, 64)), unhex(current.slice(64))]
  const privateHalves = {
    x25519: new SecretKey('x25519', x25519),
    mlKem1024: new SecretKey('ml-kem-1024', mlKem1024),
  }
  const blockPair = { publicHalves: owner.blockPair.publicHalves, privateHalves }
  using keys = envelopeKeysOf({ ...owner, blockPair, retired: [], allowWeaker: 0 })
  return await openBlock(parseBlock(bytes, label), keys, () => Promise.resolve())
}
/** The same with the second reader. */
function theyOpenWith(current: string, by: DelegationVector, bytes: Uint8Array, label: string): Uint8Array {
  const { keysetId: id, block, adopted } = theirsAt(by.now, by)
  const pair = { ...block, skX: buffer(current.slice(0, 64)), seedM: buffer(current.slice(64)) }
  const none = { blockSalt: Buffer.alloc(0), dedupKey: Buffer.alloc(0) }
  const owner = { id, pairs: [pair], adopted: adopted.map((each) => ({ id: each, ...none })) }
  return openUnlabelled(bytes, label, owner, 0).P
}

describe('delegated-head.json', () => {
  it.each(delegatedHeadVectors())('$id: $comment', async (vector: DelegatedHeadVector) => {
    const { label, now, current, suite, content, ciphertext } = vector
    const by = delegations.get(vector.delegation)!
    using ours = openedAt(by.now, by)
    const theirs = theirsAt(by.now, by)
    vi.setSystemTime(now)
    const envelope = unhex(vector.envelope)
    for (const isCurrent of [() => ours.isCurrent(envelope), () => spec.isCurrent(envelope, theirs, now)]) {
      const found: { is?: boolean } = {}
      const error = await outcome(() => void (found.is = isCurrent()))
      expect(error === 'ok' ? (found.is ? 'current' : 'not current') : error).toBe(vector.isCurrent)
    }
    for (const rekey of [() => ours.rekey({ label, envelope }), () => spec.rekey(envelope, label, theirs, now)]) {
      const made: { envelope?: Uint8Array } = {}
      vi.setSystemTime(now)
      expect(await outcome(() => void (made.envelope = rekey()))).toBe(vector.expect)
      if (made.envelope === undefined) continue
      const block = concat(made.envelope, unhex(ciphertext))
      expect(block[6]! * 256 + block[7]!).toBe(suite)
      expect(hex(block.subarray(32, 48))).toBe(hex(envelope.subarray(32, 48)))
      expectSame(await openWith(current, by, block, label), unhex(content))
      expectSame(theyOpenWith(current, by, block, label), unhex(content))
      const isCurrent = suite >= [0, 0x0101, 0x0102][by.minimum]!
      vi.setSystemTime(now)
      for (const is of [ours.isCurrent(made.envelope), spec.isCurrent(made.envelope, theirs, now)])
        expect(is).toBe(isCurrent)
    }
  })
})
