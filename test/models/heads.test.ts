// Hosts back up while owners, and workers of a fleet, replace the keys of blocks, and one owner then forgets the retired
// keys. Whatever is left must open, unless the host that wrote it was told that its export is out of date.
import { describe, it } from 'vitest'
import { expectCaught, testScenarios, TIMEOUT } from './expecting.ts'
import { CAREFUL, exploreHeads, FLEET, HEADS, type Setting } from './heads-scene.ts'
import { ModelBlobs } from './stores.ts'

describe('owners and hosts', () => testScenarios(HEADS))

describe('a fleet', () => testScenarios(FLEET))

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds = { seed: 4, runs: 2000, violations: 3 }

  it('a host that does not check its export after its run', async () => {
    const setting: Setting = { hosts: ['k1'], hasSlowOwner: false, habits: { ...CAREFUL, after: false } }
    expectCaught(await exploreHeads('no checkWriter', bounds, setting), /lost, and nobody was told/)
  })

  it('an owner that forgets without a check', async () => {
    const setting: Setting = { hosts: ['k1'], habits: { ...CAREFUL, repeats: false, checks: false } }
    // One pass leaves a block that the slow owner replaced meanwhile. checkRetired finds it.
    expectCaught(await exploreHeads('no checkRetired', bounds, setting), /lost, and nobody was told/)
  })

  it('a store whose reads are late, where checkWriter cannot help', async () => {
    const late = { ...bounds, late: { back: 1, reads: 3 } }
    const report = await exploreHeads('late reads', late, { hosts: ['k1'], hasSlowOwner: false })
    expectCaught(report, /lost, and nobody was told/)
  })

  it('a store that replaces without a comparison', async () => {
    class Blind extends ModelBlobs {
      override holds(): boolean {
        return true
      }
    }
    const report = await exploreHeads('a blind store', bounds, { forgets: false, Blobs: Blind })
    expectCaught(report, /under an older key pair again/)
  })

  it('a store that writes heads of which the ciphertext is not there yet', async () => {
    class Forgetful extends ModelBlobs {
      override put(name: string, bytes: Uint8Array): boolean {
        return name.startsWith('data/') && this.blobs.size > 1 ? true : super.put(name, bytes)
      }
    }
    const report = await exploreHeads('a forgetful store', bounds, { hosts: ['k1'], Blobs: Forgetful })
    expectCaught(report, /ciphertext of a block is missing|is not stored/)
  })

  it('a worker of a fleet that replaces what is under a newer keyset', async () => {
    class Blind extends ModelBlobs {
      override holds(): boolean {
        return true
      }
    }
    const setting: Setting = { forgets: false, hasSlowOwner: false, staleWorkers: 1, Blobs: Blind }
    expectCaught(await exploreHeads('a stale worker', bounds, setting), /under an older key pair again/)
  })
})
