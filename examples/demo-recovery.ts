// The demo with a keyset that has more ways in than its password: a code on a sheet of paper, parts of a second code, and
// the card of a second person. One after the other gets lost, and the backup is restored all the same.
import { writeFile } from 'node:fs/promises'
import {
  type Card,
  changeKeyset,
  createKeyset,
  type Keyset,
  KeystrataError,
  loadKeyset,
  openLog,
  parseCard,
} from 'keystrata'
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
  splitRecoveryCode,
  testSlot,
} from 'keystrata/recovery'
import type { StateStore } from 'keystrata/stores'
import { BACKUPS, readListing } from './backup-log.ts'
import type { FolderStore } from './backup-store.ts'
import type { Demo } from './demo.ts'
import { backUp, ownKeyset, restore } from './demo-keyset.ts'
import { regenerate } from './demo-regenerate.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'

/** What the owner has handed out. Only the slots are in the store. */
interface Ways {
  code: string
  parts: readonly string[]
  /** The second person. Their keyset is their own, and is stored elsewhere. */
  friend: Keyset
}

export async function recoveryDemo(demo: Demo): Promise<void> {
  const { store, password } = demo
  const { state } = store
  if (demo.restoreOnly) {
    using keyset = await loadByPasswordOrCode(state, password)
    await restore(demo, keyset, demo.atLeast)
    return
  }
  using keyset = await ownKeyset(state, password)
  const position = await backUp(demo, keyset.export('host'))
  using friend = await createKeyset(`${password}, of a friend`)
  const ways: Ways = { ...(await addWays(demo, keyset, friend.card())), friend }
  await drill(state, ways)

  using recovered = await passwordIsLost(demo, keyset, ways)
  await sheetIsOutOfReach(state, recovered, ways)
  using last = await friendLeaves(demo, recovered, ways, position)

  // Nobody has touched the paper since.
  await drill(state, ways)
  using key = await deriveRecoveryKey({ code: ways.code })
  using reader = await recoverKeyset(state, key, { atLeast: last.revision })
  await restore(demo, reader, position)
}

/** Loads the keyset with its password. What is not the password may be the code on the sheet. */
async function loadByPasswordOrCode(state: StateStore, typed: string): Promise<Keyset> {
  try {
    return await loadKeyset(state, typed)
  } catch (error) {
    if (!(error instanceof KeystrataError && error.code === 'wrong-password')) throw error
    const key = await deriveRecoveryKey({ code: typed }).catch(() => undefined)
    if (key === undefined) throw error
    using _ = key
    return await recoverKeyset(state, key)
  }
}

/** Adds three slots, and saves the sheet with the code. */
async function addWays({ store, sheet }: Demo, keyset: Keyset, theirs: Card): Promise<Omit<Ways, 'friend'>> {
  const { state } = store
  // The slots of an earlier run are for other codes, and for a keyset of a friend that nobody has any more.
  if ((await listSlots(state)).length > 0) await renewSlots(state, keyset, { only: [] })

  const code = generateRecoveryCode()
  using key = await deriveRecoveryKey({ code })
  await addSlot(state, keyset, key, { label: 'Sheet in the safe' })
  // Anyone with this file can open the backup. A real tool shows the page in a frame, and never saves it.
  await writeFile(sheet, sheetFor(code, store, keyset), { mode: 0o600 })
  say(`added a slot for a recovery code; the sheet to print is ${sheet}`)

  const second = generateRecoveryCode()
  const parts = await splitRecoveryCode(second, { parts: 5, needed: 3 })
  // Only a key from the parts knows how its code was split, which is what the list of slots shows.
  using split = await deriveRecoveryKey({ parts })
  await addSlot(state, keyset, split, { label: 'Five colleagues' })
  say('split a second code into 5 parts, of which 3 are needed, and added a slot for it')

  // The owner compares this fingerprint with the one that the friend tells them.
  await addSlot(state, keyset, parseCard(theirs.bytes, { fingerprint: theirs.fingerprint }), { label: 'A friend' })
  say('added a slot for the card of a friend, who has a keyset of their own')
  return { code, parts }
}

const sheetFor = (code: string, store: FolderStore, keyset: Keyset): string =>
  recoverySheet({
    code,
    title: 'Recovery sheet for your backup',
    text: [
      'This code opens your backup if its password is lost.',
      'Run: npm run demo -- --restore-only --model recovery --store (the store below). Type the code as the password.',
      'Keep this sheet where only you can find it: whoever has it and can read the store can read the backup.',
    ].join('\n'),
    facts: {
      Store: store.address,
      Keyset: keyset.id,
      Revision: keyset.revision,
      Printed: new Date().toISOString().slice(0, 10),
    },
  })

/** Tries every way in, and prints what opened. Without a secret, the list of slots can only show what there should be. */
async function drill(state: StateStore, { code, parts, friend }: Ways): Promise<void> {
  using byCode = await deriveRecoveryKey({ code })
  using byParts = await deriveRecoveryKey({ parts: parts.slice(1, 4) })
  const expected = await listSlots(state)
  say(`the drill: each of the ${expected.length} slots opens the keyset`)
  for (const { kind } of expected) {
    const slot = await testSlot(state, { code: byCode, split: byParts, card: friend, secret: byCode }[kind])
    if (!slot.isCurrent) throw new Error(`${slot.label} must be renewed`)
    console.log(`    ${lineOf(slot)}`)
  }
}

const lineOf = ({ label, kind, needed, parts, isCurrent }: Slot): string =>
  [
    label.padEnd(20),
    (kind === 'split' ? `${needed} of ${parts} parts` : kind).padEnd(16),
    isCurrent ? 'current' : 'must be renewed',
  ].join('')

/** The code on the sheet opens the keyset, and sets a new password. */
async function passwordIsLost({ store, password }: Demo, before: Keyset, { code }: Ways): Promise<Keyset> {
  // People type it as they like. The sheet says the revision, so no store can offer an older keyset.
  using key = await deriveRecoveryKey({ code: code.toLowerCase().replaceAll('-', ' ') })
  using opened = await recoverKeyset(store.state, key, { atLeast: before.revision })
  const changed = await changeKeyset(store.state, opened, (newest) => newest.changePassword(`${password}, new`))
  await refused('wrong-password', () => loadKeyset(store.state, password))
  say('the password is lost: the code on the sheet opens the keyset, and sets a new password (yours with ", new")')
  return changed
}

async function sheetIsOutOfReach(state: StateStore, { id }: Keyset, { parts }: Ways): Promise<void> {
  const two = parts.slice(0, 2)
  const tooFew = await refused('invalid-text', () => deriveRecoveryKey({ parts: two }))
  say(`the sheet is out of reach too; two parts of the other code are refused: ${tooFew}`)
  const typed = [parts[4]!, withSlip(parts[1]!), parts[2]!]
  say(`a slip of the pen is found: ${await refused('invalid-text', () => deriveRecoveryKey({ parts: typed }))}`)
  using key = await deriveRecoveryKey({ parts: [parts[4]!, parts[1]!, parts[2]!] })
  using opened = await recoverKeyset(state, key)
  if (opened.id !== id) throw new Error('the parts open another keyset')
  say('three parts open the keyset, in any order')
}

/** Returns a part with one wrong character. */
const withSlip = (part: string): string => part.slice(0, -1) + (part.endsWith('7') ? 'H' : '7')

/** Removing a slot is not enough: anyone who opened it may have kept all keys that were in the keyset. */
async function friendLeaves(
  { store, password }: Demo,
  keyset: Keyset,
  { friend }: Ways,
  position: string,
): Promise<Keyset> {
  const { state } = store
  const from = parseCard(keyset.card().bytes, { fingerprint: keyset.card().fingerprint })
  using kept = await recoverKeyset(state, friend, { from })
  say('the friend opens the keyset with their own, keeps it, and leaves')

  const all = await listSlots(state)
  const [staying, leaving] = [all.filter(({ kind }) => kind !== 'card'), all.filter(({ kind }) => kind === 'card')]
  for (const { id } of leaving) await removeSlot(state, keyset, id)
  using next = await changeKeyset(state, keyset, (newest) => newest.changePassword(password, { newMaster: true }))
  // The friend had the old master key, and with the right to write could have added a slot. So this names what may stay.
  const renewed = await renewSlots(state, next, { only: staying.map(({ id }) => id) })
  say(`removed the slot, set the password back with a new master key, and renewed the other ${renewed.length} slots`)
  const last = await regenerate(store, next, position)

  await refused('key-not-found', () => recoverKeyset(state, friend, { from }))
  await refused('wrong-password', () => changeKeyset(state, kept, (newest) => newest.regenerate()))
  await refused('key-not-found', () => readListing(openLog(state, BACKUPS, kept)))
  for await (const { label } of store.blocks.heads()) {
    await refused('key-not-found', async () => kept.open((await store.blocks.get(label))!))
    break
  }
  say('the friend has no way in any more, and the keyset that they kept opens nothing in the store')
  return last
}
