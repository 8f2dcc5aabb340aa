// A page that opens a keyset by a passkey, by its password or by a recovery code: `npm run demo:passkey`. The user interface is
// here; ways-in.ts uses the library, and passkey.ts uses WebAuthn. Keys are in memory only while the page shows "Lock". Not
// protected: anyone who can change this page has what is typed into it, and the secrets of its passkeys.
import { type Keyset, loadKeyset, selfTest } from 'keystrata'
import type { Slot } from 'keystrata/recovery'
import { indexedDbStateStore } from 'keystrata/stores/indexeddb'
import { element } from '../page/element.ts'
import { progressOn } from '../page/progress.ts'
import { type By, DAMAGED_SLOTS, explain, OLD_SLOTS, PASSKEY_PROBLEMS } from './messages.ts'
import { readNote, saveNote } from './note.ts'
import { createPasskey, type Passkey, readPasskey, whyNoPasskeys } from './passkey.ts'
import { showSlots } from './slot-list.ts'
import * as waysIn from './ways-in.ts'

const DATABASE = 'keystrata-passkey'
const store = indexedDbStateStore(DATABASE)

const fields = element('fields', HTMLFieldSetElement)
const empty = element('empty', HTMLElement)
const newPassword = element('new-password', HTMLInputElement)
const newAgain = element('new-again', HTMLInputElement)
const locked = element('locked', HTMLElement)
const passkeyWay = element('passkey-way', HTMLElement)
const byPasskey = element('by-passkey', HTMLButtonElement)
const password = element('password', HTMLInputElement)
const byCode = element('by-code', HTMLFormElement)
const code = element('code', HTMLInputElement)
const unlocked = element('unlocked', HTMLElement)
const keysetId = element('keyset-id', HTMLElement)
const revision = element('revision', HTMLElement)
const lockButton = element('lock', HTMLButtonElement)
const note = element('note', HTMLTextAreaElement)
const ways = element('ways', HTMLElement)
const slotList = element('slots', HTMLElement)
const passkeyNote = element('passkey-note', HTMLElement)
const changes = element('changes', HTMLElement)
const drillForm = element('drill', HTMLFormElement)
const drillCode = element('drill-code', HTMLInputElement)
const stale = element('stale', HTMLElement)
const staleText = element('stale-text', HTMLElement)
const label = element('label', HTMLInputElement)
const addPasskey = element('add-passkey', HTMLButtonElement)
const addCode = element('add-code', HTMLButtonElement)
const changeDetails = element('change-details', HTMLDetailsElement)
const next = element('next', HTMLInputElement)
const nextAgain = element('next-again', HTMLInputElement)
const newMaster = element('new-master', HTMLInputElement)
const working = element('working', HTMLElement)
const bar = element('bar', HTMLProgressElement)
const percent = element('percent', HTMLElement)
const status = element('status', HTMLElement)
const problem = element('problem', HTMLElement)
const sheet = element('sheet', HTMLDialogElement)
const sheetPlace = element('sheet-place', HTMLElement)
const sheetSave = element('sheet-save', HTMLAnchorElement)
const over = element('over', HTMLElement)

/** Everything that is typed and secret. */
const secretFields = [newPassword, newAgain, password, code, drillCode, next, nextAgain]

/** The open keyset, until it is locked. */
let keyset: Keyset | undefined
/** What the page shows now. A passkey must be asked for at once after a click, so this is read before. */
let shown: waysIn.WaysIn | undefined
const noPasskeys = await whyNoPasskeys()

/** Shows what is stored, and what can be done with it. */
async function refresh(): Promise<void> {
  shown = await waysIn.waysInto(store)
  const isOpen = keyset !== undefined
  const slots = shown?.slots ?? []
  empty.hidden = shown !== undefined
  ways.hidden = shown === undefined
  locked.hidden = shown === undefined || isOpen
  unlocked.hidden = changes.hidden = !isOpen
  over.hidden = locked.hidden
  keysetId.textContent = keyset?.id ?? ''
  revision.textContent = keyset?.revision ?? ''
  passkeyWay.hidden = noPasskeys !== undefined || !slots.some(waysIn.isOfPasskey)
  byCode.hidden = !slots.some((slot) => !waysIn.isOfPasskey(slot))
  addPasskey.disabled = noPasskeys !== undefined
  passkeyNote.textContent = noPasskeys === undefined ? '' : PASSKEY_PROBLEMS[noPasskeys]
  passkeyNote.hidden = noPasskeys === undefined
  const isDamaged = shown?.damage !== undefined
  stale.hidden = !isDamaged && slots.every(({ isCurrent }) => isCurrent)
  staleText.textContent = isDamaged ? DAMAGED_SLOTS : OLD_SLOTS
  showSlots(slotList, slots, isOpen ? { test: testSlot, remove: removeSlot } : undefined)
}

/** What has the focus afterwards. Lists are made anew, so their buttons have to be found again. */
type Focus = HTMLElement | (() => HTMLElement | null)

/** What a task shows afterwards. */
interface Outcome {
  said: string
  focus?: Focus
}

/** Runs one task at a time. Shows its progress, and what came of it. */
async function run(doing: string, task: () => Promise<Outcome>, failed: { by?: By; focus: Focus }): Promise<void> {
  if (fields.disabled) return
  problem.textContent = ''
  status.textContent = doing
  fields.disabled = true
  try {
    const { said, focus } = await task()
    for (const field of secretFields) field.value = ''
    drillForm.hidden = true
    await refresh()
    finish(said, focus ?? failed.focus)
  } catch (error) {
    await refresh().catch(() => undefined)
    finish('', failed.focus)
    problem.textContent = explain(error, failed.by)
    if (failed.focus instanceof HTMLInputElement) failed.focus.select()
  }
}

function finish(said: string, focus: Focus): void {
  fields.disabled = false
  working.hidden = true
  status.textContent = said
  const wanted = typeof focus === 'function' ? focus() : focus
  // It may be gone.
  const target = [wanted, lockButton, byPasskey, password, newPassword].find((each) => each?.checkVisibility())
  target?.focus()
}

/** Shows a progress bar, because hashing a password takes a moment. */
function hashing(): { onProgress: (fraction: number) => void } {
  bar.value = 0
  percent.textContent = ''
  working.hidden = false
  return { onProgress: progressOn(bar, percent) }
}

function complain(text: string, focus: HTMLInputElement): void {
  status.textContent = ''
  problem.textContent = text
  focus.focus()
  focus.select()
}

/** Returns whether a new password was typed twice, and says what is wrong otherwise. */
function isTypedTwice(first: HTMLInputElement, second: HTMLInputElement): boolean {
  if (first.value === '') complain('Enter a password.', first)
  else if (first.value !== second.value) complain('The two passwords are not the same.', second)
  else return true
  return false
}

/** Takes the keys of an open keyset, in place of those of the one before. */
function hold(opened: Keyset | undefined): void {
  keyset?.dispose()
  keyset = opened
}

/** Takes an open keyset, and shows what it protects. */
async function enter(opened: Keyset): Promise<void> {
  hold(opened)
  note.value = await readNote(store, opened)
}

/** Returns the open keyset, for a task that the page offers only while there is one. */
function held(): Keyset {
  if (keyset === undefined) throw new Error('the keyset is locked')
  return keyset
}

/** Uses a passkey, and overwrites its secret afterwards. */
async function withPasskey<T>(asked: Promise<Passkey>, use: (passkey: Passkey) => Promise<T>): Promise<T> {
  const passkey = await asked
  try {
    return await use(passkey)
  } finally {
    passkey.secret.fill(0)
  }
}

function create(): void {
  if (!isTypedTwice(newPassword, newAgain)) return
  const task = async () => {
    hold(await waysIn.createStored(store, newPassword.value, hashing()))
    // Otherwise the browser may delete the keyset when the disk is full. It may ask the user, so this does not wait.
    const { storage } = navigator as Partial<Navigator>
    void storage?.persist().catch(() => false)
    return { said: 'Created. Now add a passkey, and a recovery code.', focus: label }
  }
  void run('Deriving the key from the password…', task, { focus: newPassword })
}

function unlockByPasskey(): void {
  const task = async () => {
    const asked = readPasskey(shown?.passkeys ?? [])
    await enter(await withPasskey(asked, ({ secret }) => waysIn.recover(store, { secret })))
    return { said: `Unlocked with a passkey.${older()}`, focus: lockButton }
  }
  void run('Waiting for the passkey…', task, { by: 'passkey', focus: byPasskey })
}

/** Returns what to say after a slot has opened the keyset, if it may not be the newest version. */
const older = (): string =>
  shown?.slots.every(({ isCurrent }) => isCurrent) === true
    ? ''
    : ' This is an older version: the master key was replaced since. Unlock with the new password, and renew the ways in.'

function unlockByPassword(): void {
  if (password.value === '') {
    complain('Enter the password.', password)
    return
  }
  const task = async () => {
    await enter(await loadKeyset(store, password.value, hashing()))
    return { said: 'Unlocked with the password.', focus: lockButton }
  }
  void run('Deriving the key from the password…', task, { by: 'password', focus: password })
}

function unlockByCode(): void {
  if (code.value === '') {
    complain('Enter a recovery code.', code)
    return
  }
  const task = async () => {
    await enter(await waysIn.recover(store, { code: code.value }))
    changeDetails.open = true
    return {
      said: `Unlocked with a recovery code.${older()} If you have lost the password, choose a new one.`,
      focus: lockButton,
    }
  }
  void run('Opening the keyset…', task, { by: 'code', focus: code })
}

function lock(said: string): void {
  hold(undefined)
  sheet.close()
  label.value = note.value = ''
  newMaster.checked = changeDetails.open = false
  void run('', async () => ({ said }), { focus: byPasskey })
}

function keepNote(): void {
  const task = async () => {
    await saveNote(store, held(), note.value)
    return { said: 'The note is sealed and stored.' }
  }
  void run('Sealing the note…', task, { focus: note })
}

function addThePasskey(): void {
  const name = label.value.trim() === '' ? 'Passkey' : label.value
  const task = async () => {
    const open = held()
    const asked = createPasskey({ id: open.id, name: `Keyset ${open.id.slice(0, 8)}` }, shown?.passkeys ?? [])
    await withPasskey(asked, (passkey) => waysIn.addPasskey(store, open, passkey, name))
    label.value = ''
    return { said: `Added. From now on, ${name} opens the keyset.` }
  }
  void run('Waiting for the new passkey…', task, { by: 'passkey', focus: addPasskey })
}

function addTheCode(): void {
  const name = label.value.trim() === '' ? 'Recovery code' : label.value
  const task = async () => {
    const open = held()
    showSheet(waysIn.sheetFor(await waysIn.addCode(store, open, name), name, open, location.href))
    label.value = ''
    return { said: `Added. From now on, the code on the sheet opens the keyset.` }
  }
  void run('Adding a recovery code…', task, { focus: addCode })
}

/** Shows the sheet with the code, and forgets it when the dialog is closed. */
function showSheet(html: string): void {
  const address = URL.createObjectURL(new Blob([html], { type: 'text/html' }))
  const frame = document.createElement('iframe')
  frame.title = 'Recovery sheet'
  // No scripts. It has the origin of the page, so that the page can print it.
  frame.sandbox.add('allow-same-origin', 'allow-modals')
  frame.src = sheetSave.href = address
  sheetPlace.replaceChildren(frame)
  const forget = () => {
    URL.revokeObjectURL(address)
    // With a frame that stayed, the browser could go back to the sheet.
    frame.remove()
    sheetSave.href = '#sheet'
    addCode.focus()
  }
  sheet.addEventListener('close', forget, { once: true })
  sheet.showModal()
}

/** The drill: tests whether a way in still opens the keyset. */
function testSlot(slot: Slot): void {
  const again = () => slotList.querySelector<HTMLElement>(`[data-slot="${slot.id}"] button`)
  if (waysIn.isOfPasskey(slot)) {
    const task = async () => {
      const asked = readPasskey(shown?.passkeys ?? [])
      return result(await withPasskey(asked, ({ secret }) => waysIn.drill(store, { secret })))
    }
    void run('Waiting for the passkey…', task, { by: 'passkey', focus: again })
    return
  }
  drillForm.hidden = false
  drillCode.focus()
}

function testCode(): void {
  if (drillCode.value === '') {
    complain('Enter a recovery code.', drillCode)
    return
  }
  const task = async () => result(await waysIn.drill(store, { code: drillCode.value }))
  void run('Testing the code…', task, { by: 'code', focus: drillCode })
}

const result = ({ label: name, isCurrent }: Slot): Outcome => ({
  said: isCurrent ? `The test passed: ${name} opens the keyset.` : `${name} opens only an older keyset. Renew it.`,
})

function removeSlot({ id, label: name }: Slot): void {
  if (!confirm(`Remove ${name}? It will not open the keyset any more.`)) return
  const task = async () => {
    await waysIn.removeWayIn(store, held(), id)
    return { said: `Removed. ${name} does not open the keyset any more.` }
  }
  void run('Removing…', task, { focus: label })
}

function changePassword(): void {
  if (!isTypedTwice(next, nextAgain)) return
  const seen = shown?.slots ?? []
  const task = async () => {
    const isNewMaster = newMaster.checked
    hold(await waysIn.changePassword(store, held(), next.value, { newMaster: isNewMaster, ...hashing() }))
    if (isNewMaster) await waysIn.renew(store, held(), seen)
    newMaster.checked = changeDetails.open = false
    const more = isNewMaster ? ' The master key is new too, and your passkeys and codes open it.' : ''
    return { said: `The password was changed.${more}`, focus: lockButton }
  }
  void run('Deriving the key from the password…', task, { focus: next })
}

function renew(): void {
  const task = async () => {
    await waysIn.renew(store, held(), shown?.slots ?? [])
    return { said: 'Renewed. All ways in that are listed open the newest keyset.' }
  }
  void run('Renewing…', task, { focus: lockButton })
}

function startOver(): void {
  if (!confirm('Delete this keyset? Nothing that it protects can be opened again.')) return
  const task = async () => {
    await new Promise<void>((resolve, reject) => {
      const request = indexedDB.deleteDatabase(DATABASE)
      request.onsuccess = () => resolve()
      request.onerror = () => reject(request.error ?? new Error('the browser could not delete the database'))
    })
    return { said: 'Deleted.', focus: newPassword }
  }
  void run('Deleting…', task, { focus: password })
}

function onSubmit(id: string, act: () => void): void {
  element(id, HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault()
    act()
  })
}

function onClick(id: string, act: () => void): void {
  element(id, HTMLButtonElement).addEventListener('click', act)
}

onSubmit('create', create)
onSubmit('by-password', unlockByPassword)
onSubmit('by-code', unlockByCode)
onSubmit('note-form', keepNote)
onSubmit('drill', testCode)
onSubmit('change', changePassword)
onSubmit('add', () => (noPasskeys === undefined ? addPasskey : addCode).focus())
onClick('by-passkey', unlockByPasskey)
onClick('lock', () => lock('Locked.'))
onClick('add-passkey', addThePasskey)
onClick('add-code', addTheCode)
onClick('renew', renew)
onClick('start-over', startOver)
onClick('sheet-print', () => sheetPlace.querySelector('iframe')?.contentWindow?.print())
onClick('sheet-done', () => sheet.close())
// Escape is easy to press, and the code cannot be shown again.
sheet.addEventListener('cancel', (event) => event.preventDefault())
// The browser may keep the page in memory, to show it again.
window.addEventListener('pagehide', () => lock(''))

const { ok } = await selfTest()
if (ok) {
  await refresh().catch((error: unknown) => {
    problem.textContent = explain(error)
  })
  if (shown?.damage !== undefined) problem.textContent = explain(shown.damage)
} else {
  fields.disabled = true
  problem.textContent =
    'A self-test failed: this browser computes wrong results, so the page cannot be used. Try another browser.'
}
