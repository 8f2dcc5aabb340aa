// The explorer of logs finds faults that are built in: in stores, and in what machines see of them.
import { describe, it } from 'vitest'
import { openLog } from '../../src/index.ts'
import { wellFormed } from '../../src/state/record-layout.ts'
import type { StateStore } from '../../src/stores.ts'
import { expectCaught, TIMEOUT } from './expecting.ts'
import { type Bounds } from './explorer.ts'
import { epochName, exploreLog, LOG, LOG_ID, POINTER, type Scene } from './log-scene.ts'
import { ModelState } from './stores.ts'

const kindOf = (bytes: Uint8Array) => wellFormed(bytes, LOG_ID)?.kind

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  const bounds: Bounds = { seed: 1, runs: 3000, violations: 1 }
  const scene: Scene = { hosts: [2, 1], owners: [{}, { pair: 2 }] }

  it('a host that appends one record twice', async () => {
    const append: Scene['append'] = (store, handle) => {
      const log = openLog(store, LOG, handle)
      return async (content) => {
        await log.append(content)
        return log.append(content)
      }
    }
    expectCaught(await exploreLog('again', bounds, { hosts: [1], owners: [{}], append }), /twice/)
  })

  it('a host that takes every answer for true', async () => {
    const between = (store: StateStore, _: ModelState, who: string): StateStore =>
      who !== 'host' ? store : { ...store, write: async (...call) => (await store.write(...call)) || true }
    expectCaught(await exploreLog('true', bounds, { ...scene, between }), /lost|stands at/)
  })

  it('a store that drops an old epoch with its seal-off', async () => {
    class Emptying extends ModelState {
      override drop(name: string): void {
        this.object(name).versions.length = 0
      }
    }
    expectCaught(
      await exploreLog('nothing left', bounds, { ...scene, make: Emptying }),
      /lost|fails in the end|false alarm/,
    )
  })

  it('a seal-off that is written without compare-and-set', async () => {
    class Overwriting extends ModelState {
      override write(name: string, version: number, bytes: Uint8Array): boolean {
        if (kindOf(bytes) === 'seal-off') this.object(name).versions.length = version - 1
        return super.write(name, version, bytes)
      }
    }
    expectCaught(await exploreLog('overwritten', bounds, { ...scene, make: Overwriting }), /lost|has not resealed/)
  })

  it('an owner that uses the number of a half-made epoch', async () => {
    const isReached = (state: ModelState, name: string) => {
      const epoch = Number(name.split('/')[2] ?? 0)
      return epoch === 0 || state.object(epochName(epoch - 1)).versions.some((bytes) => kindOf(bytes) === 'seal-off')
    }
    const between = (store: StateStore, state: ModelState, who: string): StateStore => {
      if (who !== 'owner') return store
      return {
        ...store,
        read: async (name) => (isReached(state, name) ? store.read(name) : undefined),
        write: async (name, version, bytes) => {
          if (version === 1 && name !== POINTER && !isReached(state, name)) state.object(name).versions.length = 0
          return store.write(name, version, bytes)
        },
      }
    }
    const report = await exploreLog('a number again', bounds, { ...scene, between })
    expectCaught(report, /lost|fails in the end|false alarm|has not resealed/)
  })

  it('a store in which two writers of one version get true', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    expectCaught(
      await exploreLog('blind', bounds, { ...scene, make: Blind }),
      /lost|false alarm|stands at|has not resealed/,
    )
  })

  it('a store that drops records of the epoch that is current', async () => {
    class Greedy extends ModelState {
      override drop(name: string, below: number): void {
        super.drop(name, below)
        for (let epoch = 0; epoch < 4; epoch++) super.drop(epochName(epoch), Infinity)
      }
    }
    expectCaught(
      await exploreLog('greedy', bounds, { ...scene, make: Greedy }),
      /lost|fails in the end|false alarm|dropped/,
    )
  })
})
