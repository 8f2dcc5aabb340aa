// Recovery slots of a keyset in a store (SPEC §20.4): more ways in than the password. Each holds the master key, sealed to a
// recovery key or to somebody's card. Not protected: a slot that was removed. Anyone who opened it once may have kept the
// master key, so also replace that (`changePassword` with `newMaster`).
import { type Bytes, copyOf, equalBytes, fromHex, toHex, utf8 } from '../core/bytes.ts'
import { type Card, CARD_BYTES, type CardHolder, cardHolderOf, keysOfCard } from '../core/card.ts'
import { KeystrataError } from '../core/errors.ts'
import { HEADER_BYTES } from '../core/header.ts'
import { optionsFrom } from '../core/options.ts'
import { isPromise } from '../core/realms.ts'
import { type RecoveryKey, recoveryHolderIn, sameRecoveryKeys } from '../core/recovery-holder.ts'
import { decodeName, parseName } from '../core/text.ts'
import { keyIdOf } from '../core/wrap.ts'
import { insidesOf, type Keyset } from '../keyset/keyset.ts'
import { dropOtherMasters } from '../keyset/old-versions.ts'
import { assertStored, storedMasterId } from '../keyset/read-keyset.ts'
import { SIGNATURE_BYTES } from '../primitives/signature.ts'
import { CheckedStore, StoreMistake } from '../state/checked.ts'
import { TRIES, untilDone } from '../state/compare-and-set.ts'
import { SLOTS_NAME } from '../state/name.ts'
import { dropSettled, readUntil, withNote, writeSettled } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { MAX_SLOTS, type SlotFacts, type SlotTarget, type StoredSlot } from './layout.ts'
import { splitOf } from './recovery-key.ts'
import {
  assertSignedBy,
  assertUnder,
  encodeSlots,
  type FoundSlots,
  ownershipMessage,
  type ParsedSlots,
  readSlots,
  sealSlot,
  slotId,
  type SlotsOwner,
} from './stored-slots.ts'

/** How many versions of the slots a store keeps. */
const KEPT_VERSIONS = 8

/**
 * A way to open a keyset without its password. Everything here is stored in plain.
 * @example
 * ```ts
 * import type { Slot } from 'keystrata/recovery'
 *
 * function lineOf({ label, kind, created }: Slot) {
 *   return `${label} (${kind}, ${created.toISOString().slice(0, 10)})`
 * }
 * ```
 */
export interface Slot {
  /** 32 hex digits. It follows from everything else that the slot says, and from its keys: no other slot can have it. */
  readonly id: string
  /** What opens it: a recovery code, parts of one, the keyset that a card belongs to, or a secret that a device keeps. */
  readonly kind: 'code' | 'split' | 'card' | 'secret'
  readonly label: string
  /** When the slot was added, by the clock of the machine that did it. */
  readonly created: Date
  /** How many parts of the code are needed. Only for `split`. */
  readonly needed?: number
  /** How many parts there are. Only for `split`. */
  readonly parts?: number
  /** Whether it opens the newest keyset. If not, the master key was replaced, and {@link renewSlots} has not run since. */
  readonly isCurrent: boolean
  /**
   * What is wrong with the newest stored version of the slots. Absent if nothing is. If it is there, this slot is from an
   * older version, which may lack slots that were added since, and still have some that were removed: call
   * {@link renewSlots}.
   */
  readonly damage?: KeystrataError
}

/** Returns what callers see of a slot. */
export function shownSlot(keysetId: Uint8Array, facts: SlotFacts, isCurrent: boolean, damage?: KeystrataError): Slot {
  const { created, label, to } = facts
  return Object.freeze({
    id: toHex(slotId(keysetId, facts)),
    kind: to.kind,
    // A label that nobody could have written shows that the store has altered it. It must not make the others invisible.
    label: decodeName(label) ?? '',
    created: new Date(created),
    ...(to.kind === 'split' && { needed: to.value.needed, parts: to.value.parts }),
    isCurrent,
    ...(damage !== undefined && { damage }),
  })
}

/**
 * Adds a way to open a keyset without its password: the object `slots`, beside `keyset`. The keyset must be stored already.
 * Anyone with the recovery key or the private keys of the card who can read the store has all of its keys. Run
 * {@link testSlot} afterwards, and once a year. A key or card that has a slot already gets a new one in its place.
 *
 * The slots of a keyset that this one has adopted are dropped. If it was adopted because somebody had its keys, use new codes:
 * an old code also opens the old keyset, which a store can put back.
 * @param to a recovery key; or the card of somebody you trust with everything, whose fingerprint you compared with them
 * @param options `label`: what people see in a list of slots, such as `Sheet in the safe`. Stored in plain, 1 to 255 bytes
 * @returns the new slot
 * @throws KeystrataError `policy` if `keyset` was unlocked from a `definition`, if the card is that of the keyset itself, or
 *   if the slots must be renewed first ({@link renewSlots})
 * @throws KeystrataError `limit-exceeded` beyond 64 slots
 * @throws KeystrataError `invalid-text` if `label` is empty, too long, or has a control character
 * @throws KeystrataError `wrong-password` if the master key was replaced: unlock the keyset again
 * @throws KeystrataError `missing`, `rollback`, `forked` if the stored keyset does not descend from `keyset`: save it first
 * @throws KeystrataError `authentication-failed`, `malformed`, `unsupported` if the slots in the store were altered or damaged
 * @throws KeystrataError `conflict` if other machines wrote first on every try
 * @throws KeystrataError `key-changed`, `invalid-text`, `malformed`, `unsupported`, `authentication-failed` if `to` is not a
 *   valid card with its fingerprint
 * @throws KeystrataError `disposed` if one of the handles was disposed of
 * @throws TypeError if `keyset` or `to` is not from this copy of the library, or for an unknown option
 * @throws TypeError if the store returns an invalid answer; the store's own errors
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { addSlot, deriveRecoveryKey } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function addCode(store: StateStore, keyset: Keyset, code: string) {
 *   using key = await deriveRecoveryKey({ code }) // the code is from generateRecoveryCode
 *   return await addSlot(store, keyset, key, { label: 'Sheet in the safe' })
 * }
 * ```
 */
export async function addSlot(
  store: StateStore,
  keyset: Keyset,
  to: RecoveryKey | Card,
  options: { label: string },
): Promise<Slot> {
  const { label } = optionsFrom(options, { label: 'required' }, 'addSlot', ': what people see in a list of slots')
  const { owner, holder } = ownerOf(keyset)
  const name = utf8(parseName(label, 'label'))
  const facts = { created: Date.now(), label: name, to: targetOf(to, owner, holder) }
  const slot = sealSlot(owner, facts)
  const result = shownSlot(owner.id, facts, true)
  const change = (found: ParsedSlots | undefined): SlotsChange<Slot> => {
    const all = found === undefined ? [] : slotsOf(found, owner)
    // An earlier try is stored after all.
    if (all.some(({ sealed }) => equalBytes(sealed, slot.sealed))) return { dropsOlder: false, result }
    const others = all.filter((each) => !isSameTarget(each.facts.to, facts.to))
    if (others.length === MAX_SLOTS) throw tooManySlots()
    const isReplaced = others.length < (found?.slots.length ?? 0)
    return { slots: encodeSlots(owner, [...others, slot]), dropsOlder: isReplaced, result }
  }
  return changeSlots(store, keyset, change, FOR_ADDING)
}

const tooManySlots = (): KeystrataError =>
  new KeystrataError('limit-exceeded', `a keyset has at most ${MAX_SLOTS} slots: remove one first`, {
    object: 'slots',
    most: MAX_SLOTS,
  })

/** Returns what to seal a slot to. A recovery key signs the keyset, so that no store can pass off its own one. */
function targetOf(to: RecoveryKey | Card, { card }: SlotsOwner, holder: CardHolder): SlotTarget {
  assertNotCode(to, 'to')
  const recovery = recoveryHolderIn(to)
  if (recovery !== undefined) {
    const value = { keys: recovery.keys, signature: recovery.sign(ownershipMessage(card)) }
    const split = splitOf(to as RecoveryKey)
    if (split !== undefined) return { kind: 'split', value: { ...value, ...split } }
    return { kind: (to as RecoveryKey).kind === 'secret' ? 'secret' : 'code', value }
  }
  const keys = keysOfCard(to as Card)
  if (holder.signerOf(keys) === undefined) return { kind: 'card', value: copyOf((to as Card).bytes) }
  const message = 'this card belongs to the keyset itself: what is sealed to it opens only with the password'
  throw new KeystrataError('policy', message, { rule: 'own-card' })
}

/**
 * Checks that a caller has not passed a code, or a promise, in the place of a recovery key.
 * @throws TypeError
 */
export function assertNotCode(given: unknown, what: string): void {
  if (typeof given === 'string') {
    throw new TypeError(`${what} is a text: derive a recovery key first, by await deriveRecoveryKey({ code })`)
  }
  if (isPromise(given)) throw new TypeError(`${what} is a promise: await deriveRecoveryKey`)
}

/** Returns the public keys in a card. */
const keysIn = (card: Uint8Array): Uint8Array => card.subarray(HEADER_BYTES, CARD_BYTES - SIGNATURE_BYTES)

/** Returns whether two slots are sealed to the same keys. */
function isSameTarget(one: SlotTarget, other: SlotTarget): boolean {
  if (one.kind === 'card') return other.kind === 'card' && equalBytes(keysIn(one.value), keysIn(other.value))
  return other.kind !== 'card' && sameRecoveryKeys(one.value.keys, other.value.keys)
}

/**
 * Returns the slots of a keyset. Those of a keyset that it has adopted do not count: their keys have not accepted this one.
 * @throws KeystrataError `policy` if they are for another master key; `authentication-failed` if they were altered
 */
function slotsOf(found: ParsedSlots, owner: SlotsOwner): readonly StoredSlot[] {
  const { ownerId, keyId } = found.header
  if (!equalBytes(ownerId, owner.id)) {
    if (owner.adopted.some((id) => equalBytes(id, ownerId))) return []
    const message = `the store has the slots of the keyset ${toHex(ownerId)}: check the store and its prefix`
    throw new KeystrataError('policy', message, { rule: 'same-keyset', ownerId: toHex(ownerId) })
  }
  if (!equalBytes(keyId, keyIdOf(owner.master))) {
    const message = 'the master key was replaced, and the slots do not open it yet: call renewSlots first'
    throw new KeystrataError('policy', message, { rule: 'renew-slots' })
  }
  assertUnder(owner.master, found)
  assertSignedBy(owner.card, found)
  return found.slots
}

/**
 * Lists the slots of a keyset. This needs no key. Without one, the list is what the store says, and labels may be swapped.
 * If the newest version is damaged, the list is that of the version before it, and each slot says so in `damage`.
 * @param keyset an unlocked handle of the keyset: then the list is authentic, or this throws
 * @returns the slots in the order in which they were added; empty if the store has none
 * @throws KeystrataError `missing` if the store has slots, but no keyset
 * @throws KeystrataError `malformed`, `limit-exceeded` if the slots, or the keyset, are damaged
 * @throws KeystrataError `unsupported` if they need a later release
 * @throws KeystrataError `policy` if what is stored as `keyset` is not an export to storage
 * @throws KeystrataError with `keyset`: `authentication-failed` if the slots were altered, `policy` if they belong to another
 *   keyset or must be renewed, `disposed`
 * @throws TypeError if the store returns an invalid answer, or `keyset` is not a keyset from this copy of the library; the
 *   store's own errors
 * @example
 * ```ts
 * import { listSlots } from 'keystrata/recovery'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * console.log(await listSlots(memoryStateStore())) // []
 * ```
 */
export async function listSlots(store: StateStore, keyset?: Keyset): Promise<readonly Slot[]> {
  const owner = keyset && ownerOf(keyset).owner
  const checked = new CheckedStore(store)
  const { value, damage } = await readSlots(checked, (slots) => slots)
  // An older version without slots has nothing in it that could tell of the damage.
  if (damage !== undefined && (value === undefined || value.slots.length === 0)) throw damage
  if (value === undefined) return []
  const slots = owner === undefined ? value.slots : slotsOf(value, owner)
  const { ownerId, keyId } = value.header
  const isCurrent = equalBytes(await storedMasterId(checked), keyId)
  return slots.map(({ facts }) => shownSlot(ownerId, facts, isCurrent, damage))
}

/**
 * Removes a slot, and every stored version that has it. Somebody who has opened it may have kept the master key, and with it
 * every key of the keyset. Then also replace the master key (`changePassword` with `newMaster`), call {@link renewSlots}, and
 * put everything under new key pairs (`regenerate`): what they kept opens nothing that is stored afterwards. They can still
 * act as the owner of this keyset, because its card stays the same. With the store, they can even offer a keyset of their own
 * to the codes of this one. If that matters, create a new keyset that adopts this one, with new codes.
 * @param id the id of the slot, 32 hex digits. Take it from {@link addSlot}, or from an authentic list
 * @throws KeystrataError `key-not-found` if there is no such slot
 * @throws KeystrataError as {@link addSlot}
 * @throws RangeError if `id` is not 32 lower-case hex digits
 * @throws TypeError if `id` is not a string
 * @example
 * ```ts
 * import type { Keyset } from 'keystrata'
 * import { listSlots, removeSlot } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function removeByLabel(store: StateStore, keyset: Keyset, label: string) {
 *   const slot = (await listSlots(store, keyset)).find((each) => each.label === label)
 *   if (slot !== undefined) await removeSlot(store, keyset, slot.id)
 * }
 * ```
 */
export async function removeSlot(store: StateStore, keyset: Keyset, id: string): Promise<void> {
  const removed = parseSlotId(id)
  const { owner } = ownerOf(keyset)
  let isTried = false
  const change = (found: ParsedSlots | undefined): SlotsChange<boolean> => {
    const all = found === undefined ? [] : slotsOf(found, owner)
    const others = all.filter(({ facts }) => !equalBytes(slotId(owner.id, facts), removed))
    // An earlier call may have removed it, and then failed to drop the versions that have it.
    if (others.length === all.length) return { dropsOlder: found !== undefined, result: isTried }
    isTried = true
    return { slots: encodeSlots(owner, others), dropsOlder: true, result: true }
  }
  if (!(await changeSlots(store, keyset, change, { ...FOR_ADDING, expectsSome: true }))) throw noSuchSlot(id)
}

const noSuchSlot = (id: string): KeystrataError =>
  new KeystrataError('key-not-found', 'the keyset has no such slot', { object: 'slot', slotId: id })

function parseSlotId(id: string): Uint8Array {
  if (typeof id !== 'string') throw new TypeError('id must be a string')
  const bytes = fromHex(id, 16)
  if (bytes === undefined) throw new RangeError('id must be 32 lower-case hex digits')
  return bytes
}

/**
 * Seals the newest master key into every slot, so that the same codes, parts and cards open again. Call it after
 * `changePassword` with `newMaster`, once the new keyset is stored. It needs none of the secrets. Afterwards it drops the
 * versions of the keyset that the old password opens. It is safe to call again.
 *
 * Check the result: every slot in it opens the keyset. Somebody who had the old master key and can write to the store could
 * have added a slot, and a store could have put back one that was removed. So keep the ids of your slots on the device, and
 * pass them as `only`.
 * @param options `only`: the ids of the slots to keep; others are removed. `discardDamaged`: if the newest slots are damaged
 *   or were altered, use the newest version that is neither; if there is none, start again without slots
 * @returns the slots that are stored now
 * @throws KeystrataError `malformed`, `limit-exceeded`, `authentication-failed` if the newest slots are damaged or were
 *   altered, also after several reads: nothing was changed
 * @throws KeystrataError `key-not-found` if a slot in `only` is not there: nothing was changed
 * @throws KeystrataError `policy` if `keyset` was unlocked from a `definition`; or if the slots belong to another keyset, also
 *   to one that this one has adopted: add slots to this one
 * @throws KeystrataError `wrong-password` if the master key was replaced: unlock the keyset again
 * @throws KeystrataError `missing`, `rollback`, `forked` if the stored keyset does not descend from `keyset`: save it first
 * @throws KeystrataError `unsupported` if the slots need a later release
 * @throws KeystrataError `conflict` if other machines wrote first on every try
 * @throws KeystrataError `disposed` if the handle was disposed of
 * @throws RangeError if `only` has something that is not 32 lower-case hex digits
 * @throws TypeError for an unknown option, or if `only` is not a list
 * @example
 * ```ts
 * import { changeKeyset, type Keyset } from 'keystrata'
 * import { renewSlots } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function newMaster(store: StateStore, keyset: Keyset, next: string) {
 *   using changed = await changeKeyset(store, keyset, (newest) => newest.changePassword(next, { newMaster: true }))
 *   return await renewSlots(store, changed)
 * }
 * ```
 */
export async function renewSlots(
  store: StateStore,
  keyset: Keyset,
  options?: { only?: readonly string[]; discardDamaged?: boolean | undefined },
): Promise<readonly Slot[]> {
  const rules = { only: 'defined', discardDamaged: 'optional' } as const
  const { only, discardDamaged = false } = optionsFrom(options, rules, 'renewSlots')
  if (only !== undefined && !Array.isArray(only)) throw new TypeError('only must be a list of ids')
  const kept = only?.map((id: string) => toHex(parseSlotId(id)))
  const { owner } = ownerOf(keyset)
  const verify = (found: ParsedSlots) => assertRenewable(found, owner)
  return changeSlots(
    store,
    keyset,
    (found, isDamaged) => {
      const slots = slotsToKeep(found?.slots ?? [], owner, kept)
      const result = Object.freeze(slots.map(({ facts }) => shownSlot(owner.id, facts, true)))
      const isCurrent = found !== undefined && equalBytes(found.header.keyId, keyIdOf(owner.master))
      const isComplete = slots.length === (found?.slots.length ?? 0)
      const isThere = isCurrent || (found === undefined && !isDamaged)
      if (isThere && !isDamaged && isComplete) return { dropsOlder: true, result }
      const sealed = slots.map((slot) => (isCurrent ? slot : sealSlot(owner, slot.facts)))
      return { slots: encodeSlots(owner, sealed), dropsOlder: true, result }
    },
    { verify, discardDamaged, expectsSome: true },
  )
}

/**
 * Returns the slots with these ids.
 * @param ids undefined for all slots
 * @throws KeystrataError `key-not-found` if one is not there
 */
function slotsToKeep(
  slots: readonly StoredSlot[],
  owner: SlotsOwner,
  ids: readonly string[] | undefined,
): readonly StoredSlot[] {
  if (ids === undefined) return slots
  const found = new Map(slots.map((slot) => [toHex(slotId(owner.id, slot.facts)), slot]))
  for (const id of ids) if (!found.has(id)) throw noSuchSlot(id)
  return [...found].flatMap(([id, slot]) => (ids.includes(id) ? [slot] : []))
}

/**
 * Checks that the owner of the keyset wrote these slots, for this master key or an earlier one.
 * @throws KeystrataError `policy`, `authentication-failed`
 */
function assertRenewable(found: ParsedSlots, owner: SlotsOwner): void {
  const { ownerId, keyId } = found.header
  if (!equalBytes(ownerId, owner.id)) {
    const message = `these are the slots of the keyset ${toHex(ownerId)}: add a slot to this keyset for each code`
    throw new KeystrataError('policy', message, { rule: 'same-keyset', ownerId: toHex(ownerId) })
  }
  assertSignedBy(owner.card, found)
  if (equalBytes(keyId, keyIdOf(owner.master))) assertUnder(owner.master, found)
}

/** What to do with the slots that were found. */
interface SlotsChange<T> {
  /** The encoded slots to write. Undefined: what is stored stays. */
  readonly slots?: Bytes
  /** Whether no older version may stay, because it holds a slot that must not open anything. */
  readonly dropsOlder: boolean
  readonly result: T
}

/** How to read slots before they are changed. */
interface SlotsReading {
  /** Checks what is stored. */
  readonly verify: (found: ParsedSlots) => void
  /** Whether versions that are damaged, or that `verify` finds altered, are left out. Otherwise they are an error. */
  readonly discardDamaged: boolean
  /** Whether there probably are slots, so that a read which finds none may have been late. */
  readonly expectsSome: boolean
}

/** Slots to which one is added: if a late read missed some, the write is refused. */
const FOR_ADDING: SlotsReading = { verify: () => undefined, discardDamaged: false, expectsSome: false }

/**
 * Changes the slots in a store, and starts again if another machine wrote first.
 * @param change says what to write. It may be called more than once
 * @throws KeystrataError `conflict` if other machines wrote first on every try; and what is wrong with damaged slots
 */
async function changeSlots<T>(
  store: StateStore,
  keyset: Keyset,
  change: (found: ParsedSlots | undefined, isDamaged: boolean) => SlotsChange<T>,
  reading: SlotsReading,
): Promise<T> {
  const checked = new CheckedStore(store)
  const attempt = async (): Promise<{ readonly result: T } | undefined> => {
    await assertStored(checked, keyset)
    const { version, value, damage } = await readForChange(checked, reading)
    const { slots, dropsOlder, result } = change(value, damage !== undefined)
    const next = slots === undefined ? version : version + 1
    if (slots !== undefined && (await writeSettled(checked, SLOTS_NAME, next, slots)) !== 'written') return undefined
    // If another machine has replaced the master key meanwhile, these slots do not open it.
    await assertStored(checked, keyset)
    await dropOlder(checked, keyset, next, dropsOlder)
    return { result }
  }
  return (await untilDone(attempt, tooManyTries)).result
}

const tooManyTries = (): KeystrataError =>
  new KeystrataError('conflict', 'other machines wrote first on every try: try again later', {
    object: SLOTS_NAME,
    tries: TRIES,
  })

/**
 * Reads the slots. What looks damaged is read again first: a proxy may have answered with a page of its own, once. So is
 * what is not there, if there should be something.
 * @throws KeystrataError what is wrong with damaged slots, unless `discardDamaged`
 */
async function readForChange(
  store: CheckedStore,
  { verify, discardDamaged, expectsSome }: SlotsReading,
): Promise<FoundSlots<ParsedSlots>> {
  const read = () =>
    readSlots(store, (slots) => {
      verify(slots)
      return slots
    })
  const found = await readUntil(read, ({ version, damage }) => damage === undefined && (version > 0 || !expectsSome))
  if (found.damage !== undefined && !discardDamaged) throw found.damage
  return found
}

export const noSlots = (): KeystrataError =>
  new KeystrataError(
    'missing',
    'the store has no slots: pass the folder, bucket or prefix that holds the objects `keyset` and `slots`',
    { object: SLOTS_NAME },
  )

/** Drops older versions. If they may stay, a store that cannot drop now is no error: the next change drops again. */
async function dropOlder(store: CheckedStore, keyset: Keyset, newest: number, all: boolean): Promise<void> {
  try {
    await dropSettled(store, SLOTS_NAME, () => Promise.resolve(all ? newest : newest - KEPT_VERSIONS + 1))
  } catch (error) {
    if (all) throw withNote(error, ' (the slots are stored, but older ones were not dropped)')
    if (error instanceof StoreMistake) throw error
  }
  if (all) await dropOtherMasters(store, keyset)
}

/** Returns who signs and authenticates the slots of a keyset. The keyset still owns the keys. */
function ownerOf(keyset: Keyset): { owner: SlotsOwner; holder: CardHolder } {
  const holder = cardHolderOf(keyset, 'keyset', 'recovery slots')
  const { contents, master } = insidesOf(keyset, 'keyset')
  const { id, adopted } = contents
  const sign = (message: Uint8Array) => holder.sign(message)
  return { owner: { id, adopted: adopted.map((source) => source.id), card: holder.keys, master, sign }, holder }
}
