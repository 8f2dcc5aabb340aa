// What the fleet has: a keyset of its own, and the owner's delegation for it.
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createKeyset, type Keyset, KeystrataError, loadKeyset, parseCard, saveKeyset } from 'keystrata'
import { delegate, type Delegation, openDelegation } from 'keystrata/fleet'
import { folderStateStore } from 'keystrata/stores/folder'
import { filesIn, readIfThere, replaceFile } from './place.ts'

/** The password is as long as a key. No costs could make it harder to guess. */
const LOWEST_COSTS = { memoryKiB: 19_456, iterations: 2, lanes: 1 }

/** For how long a delegation is good. */
const DAYS = 7

/** Makes the fleet's own keyset, or opens the one that is there. */
export async function fleetKeyset(folder: string): Promise<Keyset> {
  const files = filesIn(folder)
  await mkdir(dirname(files.password), { recursive: true })
  await chmod(dirname(files.password), 0o700)
  if ((await readIfThere(files.password)) === undefined) {
    await replaceFile(files.password, randomBytes(32).toString('base64url'), 0o600)
  }
  const password = await readFile(files.password, 'utf8')
  const store = folderStateStore(files.fleet)
  try {
    return await loadKeyset(store, password)
  } catch (error) {
    if (!(error instanceof KeystrataError && error.code === 'missing')) throw error
  }
  const keyset = await createKeyset(password, { costs: LOWEST_COSTS })
  await saveKeyset(store, keyset)
  return keyset
}

const inDays = (days: number): Date => new Date(Date.now() + days * 24 * 3600 * 1000)

/** Delegates rekeying to the fleet. Only the owner can. */
export async function delegateTo(folder: string, owner: Keyset, until: Date = inDays(DAYS)): Promise<void> {
  const files = filesIn(folder)
  using fleet = await fleetKeyset(folder)
  await replaceFile(files.ownerCard, owner.card().bytes)
  await replaceFile(files.delegation, delegate(owner, fleet.card(), { until }))
}

/** Opens the delegation, as every process of the fleet does. */
export async function openOurs(folder: string): Promise<Delegation> {
  const files = filesIn(folder)
  const password = await readFile(files.password, 'utf8')
  using fleet = await loadKeyset(folderStateStore(files.fleet), password)
  const from = parseCard(await readFile(files.ownerCard))
  return openDelegation(await readFile(files.delegation), fleet, { from })
}
