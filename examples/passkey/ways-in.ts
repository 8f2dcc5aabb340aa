// How this page uses the library: a keyset in a store, opened by a password, by passkeys, or by recovery codes.
import { changeKeyset, createKeyset, type Keyset, type PasswordOptions, saveKeyset } from 'keystrata'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  recoverySheet,
  removeSlot,
  renewSlots,
  type Slot,
  testSlot,
} from 'keystrata/recovery'
import type { StateStore } from 'keystrata/stores'
import { changeOwn, readOwn } from './own-object.ts'
import type { Passkey } from './passkey.ts'

/** The object that says which passkey opens which slot. It is stored in plain. */
const PASSKEYS = 'page/passkeys'

interface KnownPasskey {
  readonly slot: string
  readonly credential: string
}

/** What opens a slot: a recovery code, or the secret of a passkey. */
export type Opener = { code: string } | { secret: Uint8Array }

export interface WaysIn {
  readonly slots: readonly Slot[]
  /**
   * The ids of the passkeys that have a slot. Empty if one of them is not known. Then let the browser offer all passkeys of
   * this site.
   */
  readonly passkeys: readonly string[]
  /** What is wrong with the list of slots. Then only the password opens the keyset, until {@link renew}. */
  readonly damage?: unknown
}

/** Returns the ways into the stored keyset besides its password, or undefined if no keyset is stored. It needs no keys. */
export async function waysInto(store: StateStore): Promise<WaysIn | undefined> {
  if ((await store.read('keyset')) === undefined) return undefined
  let slots: readonly Slot[]
  try {
    slots = await listSlots(store)
  } catch (damage) {
    return { slots: [], passkeys: [], damage }
  }
  const known = parsePasskeys(await readOwn(store, PASSKEYS))
  const credentials = slots.filter(isOfPasskey).map(({ id }) => known.find(({ slot }) => slot === id)?.credential)
  const passkeys = credentials.filter((each) => each !== undefined)
  return { slots, passkeys: passkeys.length === credentials.length ? passkeys : [] }
}

export const isOfPasskey = ({ kind }: Slot): boolean => kind === 'secret'

/** Creates a keyset, and stores it. */
export async function createStored(store: StateStore, password: string, options: PasswordOptions): Promise<Keyset> {
  const keyset = await createKeyset(password, options)
  try {
    await saveKeyset(store, keyset)
    return keyset
  } catch (error) {
    keyset.dispose()
    throw error
  }
}

/** Opens the stored keyset without its password. */
export async function recover(store: StateStore, by: Opener): Promise<Keyset> {
  using key = await deriveRecoveryKey(by)
  return await recoverKeyset(store, key)
}

/** Tests whether a code or a passkey still opens the keyset, and says by which slot. It gives no keys. */
export async function drill(store: StateStore, by: Opener): Promise<Slot> {
  using key = await deriveRecoveryKey(by)
  return await testSlot(store, key)
}

/** Adds a slot for a new recovery code, and returns the code. Nothing keeps it. */
export async function addCode(store: StateStore, keyset: Keyset, label: string): Promise<string> {
  const code = generateRecoveryCode()
  using key = await deriveRecoveryKey({ code })
  await addSlot(store, keyset, key, { label })
  return code
}

/** Adds a slot for a passkey. */
export async function addPasskey(store: StateStore, keyset: Keyset, passkey: Passkey, label: string): Promise<void> {
  using key = await deriveRecoveryKey({ secret: passkey.secret })
  const slot = await addSlot(store, keyset, key, { label })
  const added = { slot: slot.id, credential: passkey.id }
  // One authenticator may have replaced its passkey by this one.
  await changePasskeys(store, (known) => [...known.filter(({ credential }) => credential !== passkey.id), added])
}

/** Removes a slot. Anyone who opened it before may have kept the master key: see {@link changePassword}. */
export async function removeWayIn(store: StateStore, keyset: Keyset, id: string): Promise<void> {
  await removeSlot(store, keyset, id)
  await changePasskeys(store, (known) => known.filter(({ slot }) => slot !== id))
}

/**
 * Changes the password. With `newMaster`, what an attacker kept of the old keys no longer opens the keyset. Call {@link renew}
 * afterwards: until then, the slots open only the version before it.
 */
export const changePassword = (
  store: StateStore,
  keyset: Keyset,
  next: string,
  options: PasswordOptions & { newMaster: boolean },
): Promise<Keyset> => changeKeyset(store, keyset, (newest) => newest.changePassword(next, options))

/**
 * Lets the slots open the newest keyset again, with the same codes and passkeys. Keeps only the slots that the user saw. If
 * they saw none because all are damaged, goes on with the slots from before the damage, or with none.
 */
export async function renew(store: StateStore, keyset: Keyset, seen: readonly Slot[]): Promise<void> {
  await renewSlots(store, keyset, seen.length > 0 ? { only: seen.map(({ id }) => id) } : { discardDamaged: true })
}

/** Returns a page with a recovery code, to print. */
export const sheetFor = (code: string, label: string, { id, revision }: Keyset, address: string): string =>
  recoverySheet({
    code,
    title: 'Recovery sheet',
    text: `This code opens the keyset below without its password.
In the browser where it was made, go to the address below, and type the code. Case, spaces and hyphens do not matter.
Keep this sheet where only you can find it. Whoever has it, and can read what the browser has stored, has all of the keys.`,
    facts: {
      Name: label,
      Address: address,
      Keyset: id,
      Revision: revision,
      Printed: new Date().toLocaleDateString('en', { dateStyle: 'long' }),
    },
  })

/** Without the list, the browser offers all passkeys of this site. So a damaged one is as good as none. */
function parsePasskeys(bytes: Uint8Array | undefined): readonly KnownPasskey[] {
  if (bytes === undefined) return []
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as KnownPasskey[]
  } catch {
    return []
  }
}

const changePasskeys = (
  store: StateStore,
  change: (known: readonly KnownPasskey[]) => readonly KnownPasskey[],
): Promise<void> =>
  changeOwn(store, PASSKEYS, (found) => new TextEncoder().encode(JSON.stringify(change(parsePasskeys(found)))))
