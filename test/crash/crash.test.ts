// Kills real processes after each write to a real folder. Each time, the vault must open with the newest record, and a
// second run must finish the work. No test on a running machine can show what a power cut leaves after the last fsync.
import { createProfile, openProfile, deriveLogin } from '../../src/vault.ts'
import { execFile } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { createKeyset } from '../../src/index.ts'
import { createVerifier } from '../../src/server.ts'
import { parseProfile } from '../../src/vault/profile-record.ts'
import { folderStateStore } from '../../src/stores/folder.ts'
import { StateVaultStore } from '../../examples/vault-store.ts'
import { newFolder } from '../examples/tree.ts'
import { CHEAP, sample } from '../fixtures.ts'

const run = promisify(execFile)
/** The device program, bundled to one file that every runtime can start. */
const device = join(newFolder(), 'device.mjs')
await build({
  entryPoints: [join(import.meta.dirname, 'device.ts')],
  outfile: device,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  tsconfig: join(import.meta.dirname, '../../tsconfig.json'),
})
const program = process.versions['deno'] === undefined ? [device] : ['run', '--allow-all', device]
const content = sample(1000)

const admin = await createKeyset('admin', { costs: CHEAP })
const login = await deriveLogin('password', { realm: 'crash', user: 'user' })
const template = newFolder()
const start = new StateVaultStore(folderStateStore(template))
const first = createProfile(login, { admin: admin.card() })
await start.writeAccount(await createVerifier(login.credential, { cost: 10 }), first.record, 1)
const { vault } = await first.createVault(start)
const block = await vault.seal(content)

/** Runs a device in a copy of the folder until its nth write. Returns the folder and the signal that ended it. */
async function killedAfter(work: string, write: number): Promise<{ folder: string; signal: string | undefined }> {
  const folder = newFolder()
  cpSync(template, folder, { recursive: true })
  const signal = await run(process.execPath, [...program, folder, work, String(write)]).then(
    () => undefined,
    (error: unknown) => (error as { signal?: string }).signal ?? String(error),
  )
  return { folder, signal }
}

describe.each([
  ['createVault', 2],
  ['rotate', 6],
  ['changeRecovery', 7],
] as const)('%s', (work, writes) => {
  it('can be killed after any write: the vault still opens, and a second run finishes the work', async () => {
    const runs = await inPairs(Array.from({ length: writes + 1 }, (_, index) => () => killedAfter(work, index + 1)))
    // The last run waits for one write more than there are, so it is not killed.
    expect(runs.map(({ signal }) => signal)).toEqual([...Array<string>(writes).fill('SIGKILL'), undefined])
    for (const { folder } of runs) {
      const state = folderStateStore(folder)
      const store = new StateVaultStore(state)
      const profile = openProfile((await store.readProfile())!, login)
      for (const vaultId of profile.vaults) await profile.openVault(store, vaultId)
      expect(await (await profile.openVault(store, vault.id)).open(block)).toEqual(content)
      expect(profile.zeroTrust).toBe(work === 'changeRecovery')

      const finished =
        work === 'changeRecovery'
          ? await profile.changeRecovery(store, { zeroTrust: true })
          : await profile.rotate(store)
      expect(await (await finished.openVault(store, vault.id)).open(block)).toEqual(content)
      expect(finished.rotationDue).toEqual([])
      for (const { slots, recoverySlots } of parseProfile(finished.record).vaults) {
        expect([slots.length, recoverySlots.length]).toEqual([1, finished.zeroTrust ? 0 : 1])
      }
      for (const vaultId of finished.vaults) {
        const { version } = (await state.read(`keyring/${vaultId}`))!
        expect(await state.readVersion(`keyring/${vaultId}`, version - 1)).toBeUndefined()
      }
    }
  })
})

/** Runs two works at a time, for machines with two cores. */
async function inPairs<T>(works: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = []
  for (let index = 0; index < works.length; index += 2) {
    results.push(...(await Promise.all(works.slice(index, index + 2).map((work) => work()))))
  }
  return results
}
