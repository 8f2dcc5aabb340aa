// The close and the seal-off that resealing leaves behind, read one by one (SPEC §7.3).
import { describe, expect, it } from 'vitest'
import { encodeClose, encodeSealOff, type NumberRange, readClose, readSealOff } from '../../src/state/marker.ts'
import { expectSame, failure, flipped, hex, sample } from '../fixtures.ts'
import { clientOf, epochName, filled, LOG, owner, vaultOf } from './log-fixtures.ts'

const UNCHECKED = { log: LOG, after: 'unchecked' } as const
const START = { log: LOG, after: 'start' } as const
const behind = (after: Uint8Array) => ({ log: LOG, after })

describe('the markers of a resealed log', () => {
  it('open like records, and say what they are', async () => {
    for (const keys of [owner, vaultOf(1), (await clientOf('AES-256', 'one')).scope('private')]) {
      const { store, log, positions } = await filled(['one', 'two'], keys)
      await log.reseal({ atLeast: positions[1]!, leaveOut: [positions[1]!] })
      const [copy, close] = [store.at(epochName(1), 1), store.at(epochName(1), 2)]
      const sealOff = store.at(epochName(0), 3)
      const opened = await keys.openRecord(close, behind(copy))
      expect([opened.kind, opened.position.split('-')[0]]).toEqual(['close', '2'])
      expect((await keys.openRecord(sealOff, UNCHECKED)).kind).toBe('seal-off')
      expect((await keys.openRecord(copy, START)).kind).toBe('content')
      // SPEC §7.4: the next epoch, and the sequence of its close.
      expect(hex((await keys.openRecord(sealOff, UNCHECKED)).content)).toBe('00000001' + '0000000000000002')
      await failure(() => keys.openRecord(close, START), 'authentication-failed')
      // Behind a close the log goes on. Behind a seal-off it does not.
      const next = await keys.sealRecord(sample(7), behind(close))
      expect(next.position.split('-')[0]).toBe('3')
      expectSame((await keys.openRecord(next.record, behind(close))).content, sample(7))
      const error = await failure(() => keys.sealRecord(sample(7), behind(sealOff)), 'policy')
      expect(error.detail).toEqual({ rule: 'seal-off' })
      for (const marker of [close, sealOff]) {
        for (let index = 0; index < marker.length; index += 11)
          await failure(
            () => keys.openRecord(flipped(marker, index, index % 8), UNCHECKED),
            ...(['authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy'] as const),
          )
      }
    }
  })
})

describe('the ranges of a close', () => {
  const last = { number: 0, id: new Uint8Array(16) }
  const closeOf = (...epochs: NumberRange[][]) =>
    encodeClose({ former: epochs.map((leftOut, epoch) => ({ epoch, count: 9, last, leftOut })), last })

  it.each([
    [
      { first: 3, last: 4 },
      { first: 1, last: 2 },
    ],
    [
      { first: 1, last: 2 },
      { first: 2, last: 3 },
    ],
    [
      { first: 1, last: 9 },
      { first: 4, last: 5 },
    ],
    [{ first: 2, last: 1 }],
  ])('%j %j do not ascend', async (...ranges) => {
    await failure(() => readClose(closeOf(ranges)), 'malformed')
  })

  it('may touch, may overlap in two epochs, and may be none', () => {
    const touching = [
      { first: 1, last: 2 },
      { first: 3, last: 3 },
    ]
    expect(readClose(closeOf(touching, [{ first: 2, last: 7 }])).former.map(({ leftOut }) => leftOut)).toEqual([
      touching,
      [{ first: 2, last: 7 }],
    ])
    expect(readClose(closeOf()).former).toEqual([])
  })
})

describe('a seal-off', () => {
  it('leads to a higher epoch, or is malformed', async () => {
    const content = encodeSealOff({ epoch: 5, sequence: 3 })
    expect(readSealOff(content, 4)).toEqual({ epoch: 5, sequence: 3 })
    for (const own of [5, 6]) {
      const { detail } = await failure(() => readSealOff(content, own), 'malformed')
      expect(detail).toEqual({ object: 'record', epoch: 5 })
    }
  })
})
