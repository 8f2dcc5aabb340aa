import { describe, it } from 'vitest'
import { numRuns } from '../fixtures.ts'
import { type Bounds, expectSound, explore, TIMEOUT } from './explorer.ts'
import { LogRun, type Scene } from './log-scene.ts'

const explored = (name: string, bounds: Bounds, scene: Scene) =>
  explore(`log, ${name}`, bounds, async (run) => (await LogRun.start(run, scene)).outcome())
const N = Number(process.env['N'] ?? 500)
const three = { seed: Number(process.env['SEED'] ?? 1), violations: 20, faults: 3, late: { back: 2, reads: 2 }, runs: N }
const scenes: Record<string, Scene> = {
  plain: { hosts: [2, 1], owners: [{}, {}], readers: 1 },
  pairs: { hosts: [1, 1], owners: [{}, { pair: 2 }], readers: 1 },
  halfCopies: { hosts: [1], owners: [{}, {pair: 2}], readers: 1, halfMade: 'copies' },
  halfClosed: { hosts: [1], owners: [{}, {pair: 2}], readers: 1, halfMade: 'closed' },
  pointHalf: { hosts: [1], owners: [{}], readers: 1, halfMade: 'closed', pointer: [0,0,0,1] },
  pointHigh: { hosts: [1], owners: [{}], readers: 1, pointer: [0,0,0,7] },
  pointBad: { hosts: [1], owners: [{}], readers: 1, pointer: [0,0,7] },
  upTo: { hosts: [2], owners: [{upTo: 1}], readers: 1 },
  upTo2: { hosts: [2], owners: [{upTo: 1}, {pair: 2}], readers: 1 },
  leaveOut: { hosts: [1,1], owners: [{leaveOut: 1}, {pair: 2}], readers: 1 },
  adopted: { hosts: [1, 1], owners: [{}, {}], readers: 1, adopted: true },
  garbage: { hosts: [1, 1], owners: [{}, {}], readers: 1, garbage: 2 },
  garbageUpTo: { hosts: [1, 1], owners: [{upTo: 2}, {pair:2}], readers: 1, garbage: 1 },
  warm: { hosts: [1], owners: [{}], warm: true},
}
describe('logs', { timeout: TIMEOUT }, () => {
  it.each(Object.keys(scenes))('%s', async (name) => {
    const report = await explored(name, three, scenes[name]!)
    expectSound(report, { runs: 10, reached: [/done/] })
  })
})
