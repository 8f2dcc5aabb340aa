// Opens a keyset by one of its slots, and the drill that shows whether that would work (SPEC §20.5). The store is not trusted.
// The keyset itself must prove everything: the master key opens it, its card signed the slots, and the recovery key signed
// that card. Not protected: a keyset whose master key someone else had. They can sign slots of another keyset as its owner.
import { type Card, type CardKeys, cardHolderOf, fingerprintBytes, keysOfCard } from '../core/card.ts'
import { type Bytes, equalBytes, toHex } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { optionsFrom } from '../core/options.ts'
import { type RecoveryHolder, recoveryHolderIn, type RecoveryKey, sameRecoveryKeys } from '../core/recovery-holder.ts'
import { SecretKey } from '../core/secret.ts'
import type { SecretPlace } from '../core/wrap.ts'
import { type Keyset, unlocked } from '../keyset/keyset.ts'
import { openByMaster } from '../keyset/read-keyset.ts'
import { OPEN_OPTIONS, type OpenOptions, parseOpenOptions } from '../keyset/unlock.ts'
import { isSignatureOf } from '../primitives/signature.ts'
import { CheckedStore } from '../state/checked.ts'
import { SLOTS_NAME } from '../state/name.ts'
import { mayBeLate, repeatedly } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import type { SlotTarget, StoredSlot } from './layout.ts'
import { assertNotCode, noSlots, shownSlot, type Slot } from './slots.ts'
import {
  assertSignedBy,
  assertUnder,
  ownershipMessage,
  type ParsedSlots,
  readSlots,
  slotPlace,
} from './stored-slots.ts'

/**
 * Opens a keyset by one of its slots, without its password. Then set a new password (`changeKeyset` with `changePassword`),
 * and replace the host exports.
 *
 * If the master key was replaced and {@link renewSlots} has not run since, this opens the newest version that is under the
 * old one. Everything that was sealed by then opens. It cannot be saved over the newest version, which nobody can open
 * without its password: create a new keyset that adopts it, and save that under another prefix. {@link testSlot} tells the
 * two cases apart.
 * @param store the store with the objects `keyset` and `slots`. Put both back from one backup: they belong together
 * @param by the recovery key
 * @param options `id`: the id of the keyset that you expect, perhaps from the printed sheet; without it, a store can offer
 *   another keyset of yours that has a slot for the same code. `atLeast`: a revision that you have seen before; the keyset must
 *   descend from it. They do not stop someone who once had the master key of this keyset. `allowWeaker` as for `unlockKeyset`
 * @throws KeystrataError `key-not-found` if no slot is for this key (`detail.object` is `slots`), or if no stored version is under
 *   the master key in the slot (`detail.object` is `keyset`)
 * @throws KeystrataError `missing` if the store has no slots or no keyset
 * @throws KeystrataError `authentication-failed` if the slots or the keyset were altered, do not belong together, or the recovery
 *   key did not sign this keyset
 * @throws KeystrataError `policy` if the keyset has another id than `id`, or is not an export to storage
 * @throws KeystrataError `rollback`, `forked` if the keyset does not descend from `atLeast`
 * @throws KeystrataError `malformed`, `limit-exceeded` if every version of the slots, or the newest keyset, is damaged
 * @throws KeystrataError `unsupported` if one of them needs a later release
 * @throws KeystrataError `disposed` if the recovery key was disposed of
 * @throws TypeError if `by` is not a handle of this copy of the library, for an unknown option, an explicit `undefined` for
 *   `id` or `atLeast`, or if the store returns an invalid answer; the store's own errors
 * @example
 * ```ts
 * import { deriveRecoveryKey, recoverKeyset } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function recover(store: StateStore, code: string) {
 *   using key = await deriveRecoveryKey({ code })
 *   return await recoverKeyset(store, key) // then set a new password: changeKeyset
 * }
 * ```
 */
export async function recoverKeyset(
  store: StateStore,
  by: RecoveryKey,
  options?: OpenOptions & { id?: string },
): Promise<Keyset>
/**
 * Opens a keyset through a slot that is sealed to your card.
 * @param by the keyset whose card has a slot, or one that has adopted it
 * @param options `from`: the card of the owner, whose fingerprint you compared with them. Anybody can seal a keyset of their
 *   own to your card, and call it theirs. The others as above
 * @throws KeystrataError `key-changed` if it is another person's keyset; or if card and fingerprint do not match
 * @throws KeystrataError `policy` if `by` was unlocked from a `definition`
 * @throws KeystrataError `invalid-text`, `malformed`, `unsupported`, `authentication-failed` if `from` is not a valid card
 */
export async function recoverKeyset(
  store: StateStore,
  by: Keyset,
  options: OpenOptions & { id?: string; from: Card },
): Promise<Keyset>
export async function recoverKeyset(
  store: StateStore,
  by: RecoveryKey | Keyset,
  options?: OpenOptions & { id?: string; from?: Card },
): Promise<Keyset> {
  assertNotCode(by, 'by')
  const checked = new CheckedStore(store)
  const recovery = recoveryHolderIn(by)
  if (recovery !== undefined) {
    const rules = { ...OPEN_OPTIONS, id: 'defined' } as const
    const given = optionsFrom<RecoverOptions>(options, rules, 'recoverKeyset')
    return (await openSlot(checked, byKey(recovery), given)).keyset
  }
  const rules = { ...OPEN_OPTIONS, id: 'defined', from: 'required' } as const
  const hint = ": the owner's card, whose fingerprint you compared with them"
  const given = optionsFrom(options as RecoverOptions & { from: Card }, rules, 'recoverKeyset', hint)
  const from = keysOfCard(given.from)
  return (await openSlot(checked, byCard(by as Keyset, from), given)).keyset
}

/** What to accept when a keyset is recovered. */
interface RecoverOptions extends OpenOptions {
  id?: string
}

/**
 * Tests whether a slot opens the keyset in the store: the drill. It does everything that {@link recoverKeyset} does, and gives
 * no keys. Run it after {@link addSlot}, and once a year with the sheets, all of the parts, or the devices themselves.
 * @param by a recovery key, or the keyset whose card has a slot. With a card, this does not check whose keyset it is
 * @returns the slot that opened. If its `isCurrent` is false, it opens only an older version: call {@link renewSlots}. If it
 *   has `damage`, the newest stored version of the slots is damaged, and an older one was used
 * @throws KeystrataError and TypeError as {@link recoverKeyset} without options
 * @example
 * ```ts
 * import { deriveRecoveryKey, testSlot } from 'keystrata/recovery'
 * import type { StateStore } from 'keystrata/stores'
 *
 * async function drill(store: StateStore, typed: string) {
 *   using key = await deriveRecoveryKey({ code: typed })
 *   const { label, isCurrent } = await testSlot(store, key)
 *   return isCurrent ? `${label} opens the keyset` : `${label} must be renewed`
 * }
 * ```
 */
export async function testSlot(store: StateStore, by: RecoveryKey | Keyset): Promise<Slot> {
  assertNotCode(by, 'by')
  const recovery = recoveryHolderIn(by)
  const opener = recovery === undefined ? byCard(by as Keyset, undefined) : byKey(recovery)
  const { slot, keyset } = await openSlot(new CheckedStore(store), opener, {})
  keyset.dispose()
  return slot
}

/** What opens a slot, and what it demands of the keyset. */
interface Opener {
  /** @throws KeystrataError as {@link openSealedSecret} */
  openSealed(stored: Uint8Array, object: string, place: SecretPlace): Bytes
  /** Checks that the slot was made for this keyset. */
  assertAccepted(keyset: CardKeys, to: SlotTarget): void
}

const byKey = (holder: RecoveryHolder): Opener => ({
  openSealed: (stored, object, place) => holder.openSealed(stored, object, place),
  assertAccepted(keyset, to) {
    // Renewing the slot seals to the keys that it names, so they must be these.
    if (to.kind === 'card' || !sameRecoveryKeys(to.value.keys, holder.keys)) throw authenticationFailed()
    // A store that knows the public keys could have sealed a keyset of its own to them.
    if (!isSignatureOf(holder.keys.signing, ownershipMessage(keyset), to.value.signature)) throw authenticationFailed()
  },
})

/** @param from the keys of the owner; undefined if it does not matter whose keyset it is */
function byCard(by: Keyset, from: CardKeys | undefined): Opener {
  const holder = cardHolderOf(by, 'by', 'opening a slot')
  return {
    openSealed: (stored, object, place) => holder.openSealed(stored, object, place),
    assertAccepted(keyset) {
      const found = fingerprintBytes(keyset)
      if (from === undefined || equalBytes(fingerprintBytes(from), found)) return
      throw new KeystrataError(
        'key-changed',
        'this slot opens a keyset that does not belong to `from`: compare the fingerprints',
        {
          fingerprint: String.fromCharCode(...found),
        },
      )
    },
  }
}

/** A slot that an opener fits, and the master key in it. */
interface OpenedSlot {
  readonly slots: ParsedSlots
  readonly stored: StoredSlot
  readonly master: SecretKey<'master'>
}

/** Opens the newest keyset that a slot opens. The caller disposes of the keyset. */
async function openSlot(
  store: CheckedStore,
  opener: Opener,
  { id, ...options }: RecoverOptions,
): Promise<{ slot: Slot; keyset: Keyset }> {
  const { atLeast, allowWeaker } = parseOpenOptions(options)
  if (id !== undefined && typeof id !== 'string') throw new TypeError('id must be a string')
  const { slots, stored, master, damage } = await repeatedly(
    () => findSlot(store, opener),
    (error) => mayBeLate(error, true),
  )
  using _ = master
  const { contents, isNewest } = await repeatedly(() => openByMaster(store, master, atLeast), isOlderKeyset)
  const keyset = unlocked(contents, master.copy(), allowWeaker)
  try {
    const { keys } = cardHolderOf(keyset, 'keyset', 'recovery')
    assertSignedBy(keys, slots)
    opener.assertAccepted(keys, stored.facts.to)
    if (id !== undefined && keyset.id !== id) throw anotherKeyset(keyset.id, id)
    return { slot: shownSlot(slots.header.ownerId, stored.facts, isNewest, damage), keyset }
  } catch (error) {
    keyset.dispose()
    throw error
  }
}

function anotherKeyset(found: string, expected: string): KeystrataError {
  const message = `this slot opens the keyset ${found}, not ${expected}: check how the id was typed, and then the store`
  return new KeystrataError('policy', message, { rule: 'expected-keyset', field: 'id', found })
}

/** Returns whether a late read may have returned a keyset that is older than its slots. */
const isOlderKeyset = (error: unknown): boolean => error instanceof KeystrataError && error.code === 'key-not-found'

async function findSlot(
  store: CheckedStore,
  opener: Opener,
): Promise<OpenedSlot & { readonly damage: KeystrataError | undefined }> {
  const { value, damage } = await readSlots(store, (slots) => openedIn(slots, opener))
  if (value !== undefined) return { ...value, damage }
  throw damage ?? noSlots()
}

/**
 * Opens the slot that fits, and checks that the holder of its master key wrote all of the slots.
 * @throws KeystrataError `key-not-found` if none fits; `authentication-failed` if they were altered
 */
function openedIn(slots: ParsedSlots, opener: Opener): OpenedSlot {
  const { ownerId } = slots.header
  for (const stored of slots.slots) {
    const secret = openedBy(opener, stored, ownerId)
    if (secret === undefined) continue
    const master = SecretKey.take('master', secret)
    try {
      assertUnder(master, slots)
      return { slots, stored, master }
    } catch (error) {
      master.dispose()
      throw error
    }
  }
  const message =
    'no slot of this keyset is for this key: look at the list of its slots, and check the store and its prefix'
  throw new KeystrataError('key-not-found', message, { object: SLOTS_NAME, ownerId: toHex(ownerId) })
}

/** Returns the secret in a slot, or undefined if it is sealed to other keys. */
function openedBy(opener: Opener, { sealed, facts }: StoredSlot, ownerId: Uint8Array): Bytes | undefined {
  try {
    return opener.openSealed(sealed, 'slot', slotPlace(ownerId, facts))
  } catch (error) {
    if (error instanceof KeystrataError && error.code === 'key-not-found') return undefined
    // A SEAL that is not one, in an object whose checksum is right, was altered by somebody.
    if (error instanceof KeystrataError && error.code === 'malformed') throw authenticationFailed()
    throw error
  }
}
