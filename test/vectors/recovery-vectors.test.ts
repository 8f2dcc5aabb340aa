// Reads the frozen vectors of SPEC §20 with the library, and with the reader written from SPEC.md alone. Then each of the two
// reads what the other writes.
import { describe, expect, it } from 'vitest'
import { parseActivationCode } from '../../src/client/escrow.ts'
import { concat, u16 } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { type RecoveryKey, recoveryHolderOf, recoveryPublicKeys } from '../../src/core/recovery-holder.ts'
import { parseCard, saveKeyset } from '../../src/index.ts'
import { insidesOf, type Keyset, unlocked } from '../../src/keyset/keyset.ts'
import {
  addSlot,
  armor,
  dearmor,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  splitRecoveryCode,
  testSlot,
} from '../../src/recovery.ts'
import { MAX_SLOTS } from '../../src/recovery/layout.ts'
import { shownSlot } from '../../src/recovery/slots.ts'
import { withBytes } from '../../src/core/secret.ts'
import { createProfile, deriveLogin, type Login, type Profile, resetProfile, saveProfile } from '../../src/vault.ts'
import { ownerOf } from '../../src/vault/login.ts'
import { combineParts, parseRecoveryCode } from '../../src/recovery/split.ts'
import { parseSlots } from '../../src/recovery/stored-slots.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { hex, makeKeyset, patched, resummed, sample, unhex } from '../fixtures.ts'
import { plantedContents, plantedMaster } from '../keyset/planted.ts'
import { withoutPauses } from '../pauses.ts'
import { parseActivationCode as specActivationCode } from '../spec-reader-custody.ts'
import {
  checkFollows,
  isSignedIdentity,
  readForResetByKey,
  readProfile,
  readWithoutKey,
} from '../spec-reader-profile.ts'
import * as spec from '../spec-reader-recovery.ts'
import { parseRevision, textOf } from '../spec-reader-revision.ts'
import { readCard } from '../spec-reader-vault.ts'
import { asRead, asText } from './as-read.ts'
import { masterText } from './make-slots.ts'
import { plantedCards } from './planted-cards.ts'
import {
  armorVectors,
  codeVectors,
  type ListedSlot,
  outcome,
  partsVectors,
  recoveryKeyVectors,
  type SlotOpener,
  slotsVectors,
} from './vectors.ts'

const buffer = (text: string) => Buffer.from(text, 'hex')

describe('recovery-key.json', () => {
  it.each(recoveryKeyVectors())('$id: $comment', async ({ source, secret, keys, ...vector }) => {
    const ours = outcome(async () => {
      using key = await deriveRecoveryKey(source === 'code' ? { code: secret } : { secret: unhex(secret) })
      expect(key.kind).toBe(source)
      expect(hex(encode(recoveryPublicKeys, recoveryHolderOf(key, 'key').keys))).toBe(keys)
    })
    expect(await ours).toBe(vector.expect)
  })
})

describe('recovery-code.json', () => {
  const readers = {
    recovery: [parseRecoveryCode, spec.parseRecoveryCode],
    activation: [parseActivationCode, specActivationCode],
  } as const
  it.each(codeVectors())('$id: $comment', async ({ kind, text, code, ...vector }) => {
    for (const read of readers[kind])
      expect(await outcome(() => expect(read(text).replaceAll('-', '')).toBe(code))).toBe(vector.expect)
  })
})

describe('recovery-part.json', () => {
  it.each(partsVectors())('$id: $comment', async ({ parts, code, ...vector }) => {
    const ours = outcome(async () => expect((await combineParts(parts)).code).toBe(code))
    expect(await ours).toBe(vector.expect)
    expect(await outcome(() => expect(spec.combineParts(parts)).toBe(code))).toBe(vector.expect)
  })

  it.each([
    [2, 2],
    [3, 2],
    [5, 3],
    [31, 31],
  ])('each reader puts together what the other split: %i parts, %i needed', async (parts, needed) => {
    const code = generateRecoveryCode()
    const plain = code.replaceAll('-', '')
    const ours = await splitRecoveryCode(code, { parts, needed })
    expect(spec.combineParts(ours.slice(parts - needed))).toBe(plain)
    expect(spec.combineParts(ours.toReversed())).toBe(plain)
    const xs = Array.from({ length: parts }, (_, i) => 255 - 8 * i)
    const theirs = spec.splitCode(plain, 'XYZ01', xs, needed, sample(19 * (needed - 1), parts))
    expect(await combineParts(theirs.slice(parts - needed))).toEqual({ code: plain, parts, needed })
    expect(await combineParts(theirs.toReversed())).toEqual({ code: plain, parts, needed })
  })
})

// The holder of the cards in the vectors is the planted keyset.
const holder = unlocked(plantedContents(), plantedMaster.copy(), undefined)
const KINDS = ['code', 'split', 'card', 'secret'] as const

function openerOf(by: SlotOpener): Promise<RecoveryKey> | Keyset {
  if (by.kind === 'code') return deriveRecoveryKey({ code: by.code })
  if (by.kind === 'parts') return deriveRecoveryKey({ parts: by.parts })
  return by.kind === 'secret' ? deriveRecoveryKey({ secret: unhex(by.secret) }) : holder
}
/** The same for the second reader. */
function byOf(by: SlotOpener): spec.By {
  if (by.kind === 'code') return { recoveryKey: spec.recoveryKeyOfCode(by.code) }
  if (by.kind === 'parts') return { recoveryKey: spec.recoveryKeyOfCode(spec.combineParts(by.parts)) }
  if (by.kind === 'secret') return { recoveryKey: spec.recoveryKeyOf(buffer(by.secret), 'secret') }
  return { cards: plantedCards().map(({ pair }) => pair), from: readCard(buffer(by.from)).fingerprint }
}

async function fill(store: StateStore, name: string, versions: readonly string[]): Promise<void> {
  for (const [i, bytes] of versions.entries()) expect(await store.write(name, i + 1, unhex(bytes))).toBe(true)
}

/** What the second reader shows of a slot. */
const asListed = ({ id, kind, label, created, k, n }: spec.Slot): ListedSlot => ({
  ...{ id: hex(id), kind: KINDS[kind - 1]!, label, created },
  ...(k !== undefined && n !== undefined && { needed: k, parts: n }),
})

describe('slots.json', () => {
  withoutPauses()

  it.each(slotsVectors())('$id: $comment', async ({ slots, keyset, by, floor, keysetId, form, listed, ...vector }) => {
    const store = memoryStateStore()
    await fill(store, 'slots', slots)
    await fill(store, 'keyset', keyset)
    const newest = slots.at(-1)
    const read = <T>(reader: (bytes: Uint8Array) => T) => {
      if (newest === undefined) throw new Error('missing')
      return reader(unhex(newest))
    }
    const shown = outcome(() => {
      const { header, slots: found } = read(parseSlots)
      const all = found.map(({ facts }) => shownSlot(header.ownerId, facts, true))
      expect(all.map(({ created, ...slot }) => ({ ...slot, created: created.getTime() }))).toEqual(
        listed.map((slot) => ({ ...slot, isCurrent: true })),
      )
    })
    expect(await shown).toBe(form)
    const theirList = outcome(() => expect(read(spec.parseSlots).slots.map(asListed)).toEqual(listed))
    expect(await theirList).toBe(form)

    const theirs: { keyset?: unknown } = {}
    const second = outcome(() => {
      const stored = { slots: slots.map(buffer), keyset: keyset.map(buffer) }
      const least = floor === '' ? undefined : parseRevision(floor)
      const opened = spec.openByRecovery(stored, byOf(by), least, keysetId === '' ? undefined : buffer(keysetId))
      expect([hex(opened.slot.id), hex(opened.M), textOf(opened.keyset)]).toEqual([
        vector.slot,
        vector.master,
        vector.revision,
      ])
      theirs.keyset = asText(opened.keyset)
    })
    expect(await second).toBe(vector.expect)
    const opener = await openerOf(by)
    const ours = outcome(async () => {
      const options = {
        ...(floor !== '' && { atLeast: floor }),
        ...(keysetId !== '' && { id: keysetId }),
        ...(by.kind === 'card' && { from: parseCard(unhex(by.from)) }),
      }
      using opened = await recoverKeyset(store, opener as Keyset, options as { from: never })
      const { contents, master } = insidesOf(opened, 'keyset')
      expect([masterText(master), opened.revision]).toEqual([vector.master, vector.revision])
      expect(asRead(contents, 'storage')).toEqual(theirs.keyset)
      const tested = await testSlot(store, opener)
      expect(tested.id).toBe(vector.slot)
      expect((await listSlots(store).catch(() => [tested])).map(({ isCurrent }) => isCurrent)).toContain(
        tested.isCurrent,
      )
    })
    expect(await ours).toBe(vector.expect)
    if (opener !== holder) opener.dispose()
  })

  it('a keyset has at most 64 slots, and they have at most 256 KiB', async () => {
    const one = unhex(slotsVectors().find(({ id }) => id === 'code')!.slots[0]!)
    const slot = one.subarray(50, -136)
    const many = (count: number) => {
      const slots = Array.from({ length: count }, (_, i) => patched(slot, 7, [i]))
      return resummed(concat(one.subarray(0, 48), u16(count), ...slots, one.subarray(-136)))
    }
    for (const [bytes, code] of [
      [many(MAX_SLOTS), 'ok'],
      [many(MAX_SLOTS + 1), 'malformed'],
      [patched(new Uint8Array(262_144), 0, one), 'malformed'],
      [patched(new Uint8Array(262_145), 0, one), 'limit-exceeded'],
    ] as const) {
      expect(await outcome(() => parseSlots(bytes))).toBe(code)
    }
  })

  it('the second reader opens what addSlot wrote', async () => {
    using keyset = await makeKeyset()
    const store = memoryStateStore()
    await saveKeyset(store, keyset)
    const code = generateRecoveryCode()
    using key = await deriveRecoveryKey({ code })
    const { id } = await addSlot(store, keyset, key, { label: 'Sheet in the safe' })
    const read = async (name: string) => [(await store.read(name))!.bytes]
    const stored = { slots: await read('slots'), keyset: await read('keyset') }
    const opened = spec.openByRecovery(stored, { recoveryKey: spec.recoveryKeyOfCode(code) })
    expect([hex(opened.slot.id), textOf(opened.keyset)]).toEqual([id, keyset.revision])
  })
})

describe('a profile with a recovery key', () => {
  const names = { realm: 'com.example.backup', user: 'user@example.com' }
  const code = generateRecoveryCode()
  const key = spec.recoveryKeyOfCode(code)

  /** Opens a record by its root key and by the recovery key, and returns the E-keys that both give. */
  function keysIn(profile: Profile, login: Login, by = key): string[] {
    const { rootKey } = ownerOf(login)
    const read = readProfile(
      profile.record,
      withBytes(rootKey, (bytes) => Buffer.from(bytes)),
    )
    rootKey.dispose()
    expect(hex(read.recoveryKey!)).toBe(hex(by.keys))
    expect(readForResetByKey(profile.record, by, names)).toEqual(read.vaults.map(({ id, keys }) => ({ id, keys })))
    return read.vaults.flatMap(({ keys }) => keys.map((one) => hex(one.key)))
  }

  it('opens for the second reader, whatever the library has done with it', async () => {
    const [login, next] = await Promise.all(
      ['one password', 'another password'].map((password) => deriveLogin(password, names)),
    )
    using recoveryKey = await deriveRecoveryKey({ code })
    const store = memoryStateStore()
    const first = createProfile(login!, { zeroTrust: true, recoveryKey })
    expect(keysIn(first, login!)).toEqual([])
    const { profile: one } = await first.createVault(store)
    const { profile: two } = await one.createVault(store)
    const keys = keysIn(two, login!)
    expect(new Set(keys).size).toBe(2)
    const changed = two.changePassword(next!)
    expect(keysIn(changed, next!)).toEqual(keys)
    const reset = resetProfile(changed.record, recoveryKey, login!)
    expect(keysIn(reset, login!)).toEqual(keys)
    checkFollows(readWithoutKey(changed.record), readWithoutKey(reset.record))

    // Another recovery key, and a rotation of each vault.
    for (const profile of [changed, reset]) await saveProfile(store, profile)
    const other = sample(32, 9)
    using otherKey = await deriveRecoveryKey({ secret: other })
    const written: Uint8Array[] = []
    const watched: StateStore = {
      ...store,
      write(name, version, bytes) {
        if (name === 'profile') written.push(bytes.slice())
        return store.write(name, version, bytes)
      },
    }
    const replaced = await reset.changeRecovery(watched, { zeroTrust: true, recoveryKey: otherKey })
    const theirs = spec.recoveryKeyOf(Buffer.from(other), 'secret')
    // The new recovery key opens every key at once, also those that are due, and so on until the rotation is done.
    const opened = written.map((record) => readForResetByKey(record, theirs, names).flatMap((vault) => vault.keys))
    expect(opened[0]!.map(({ due, key }) => [due, hex(key)])).toEqual(keys.map((one) => [true, one]))
    expect(opened.length).toBeGreaterThan(2)
    expect(opened.at(-1)!.every(({ due }) => !due)).toBe(true)
    const rotated = keysIn(replaced, login!, theirs)
    expect(new Set([...keys, ...rotated]).size).toBe(4)
    expect(isSignedIdentity(theirs.signing.publicKey, readWithoutKey(replaced.record), names)).toBe(true)
    expect(isSignedIdentity(key.signing.publicKey, readWithoutKey(replaced.record), names)).toBe(false)
  })
})

describe('armor.json', () => {
  it.each(armorVectors())('$id: $comment', async ({ text, object, written, ...vector }) => {
    for (const read of [dearmor, spec.dearmor])
      expect(await outcome(() => expect(hex(read(text))).toBe(object))).toBe(vector.expect)
    if (written) for (const write of [armor, spec.armor]) expect(write(unhex(object))).toBe(text)
  })

  it('a text of more than 4,194,304 characters is not read', async () => {
    const { text, object } = armorVectors()[0]!
    for (const [length, code] of [
      [4_194_304, 'ok'],
      [4_194_305, 'invalid-text'],
    ] as const) {
      const padded = text.padEnd(length, '\n')
      for (const read of [dearmor, spec.dearmor])
        expect(await outcome(() => expect(hex(read(padded))).toBe(object))).toBe(code)
    }
  })

  it('each reader refuses to write what is no object', async () => {
    const card = unhex(armorVectors()[0]!.object)
    for (const [bytes, code] of [
      [card.subarray(0, 47), 'malformed'],
      [patched(card, 0, [0]), 'malformed'],
      [patched(card, 4, [2]), 'unsupported'],
      [patched(card, 5, [23]), 'unsupported'],
    ] as const)
      for (const write of [armor, spec.armor]) expect(await outcome(() => write(bytes))).toBe(code)
  })

  it('each reader reads what the other writes, at every length of the last line', () => {
    const card = unhex(armorVectors()[0]!.object)
    for (let length = 48; length < 48 + 96; length++) {
      const object = concat(card, sample(length, length)).subarray(0, 1776 + length)
      expect(spec.armor(object)).toBe(armor(object))
      expect(hex(spec.dearmor(armor(object)))).toBe(hex(object))
      expect(hex(dearmor(spec.armor(object)))).toBe(hex(object))
    }
  })
})
