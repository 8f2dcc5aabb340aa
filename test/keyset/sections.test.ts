import { describe, expect, it } from 'vitest'
import { EMPTY } from '../../src/core/bytes.ts'
import { decodeSections, encodeSections } from '../../src/keyset/exports.ts'
import { failure } from '../fixtures.ts'
import { plantedContents } from './planted.ts'

const contents = plantedContents()
const additional = contents.additional!
const host = encodeSections(contents, 'host')
const withLists = (changes: Partial<typeof additional>) =>
  encodeSections({ ...contents, additional: { ...additional, ...changes } }, 'host')

describe('the sections of an export', () => {
  it('decode to the keys that were encoded', () => {
    const { additional: read } = decodeSections(host.plain, host.sealed, 'host')
    expect([read!.retired.length, read!.shares.length]).toEqual([1, 2])
  })

  it('are malformed if a plain list and its sealed list differ in length', async () => {
    for (const other of [withLists({ shares: additional.shares.slice(1) }), withLists({ retired: [] })]) {
      await failure(() => decodeSections(host.plain, other.sealed, 'host'), 'malformed')
      await failure(() => decodeSections(other.plain, host.sealed, 'host'), 'malformed')
    }
  })

  it('are malformed if a definition or storage export has a plain section', async () => {
    for (const destination of ['definition', 'storage'] as const) {
      const { plain, sealed } = encodeSections(contents, destination)
      expect(plain).toEqual(EMPTY)
      decodeSections(plain, sealed, destination)
      await failure(() => decodeSections(Uint8Array.of(0), sealed, destination), 'malformed')
    }
  })

  it('are refused with a source signing key that does not match its seed', async () => {
    const foreign = { ...contents.sourceSigning, publicKey: additional.cardSigning.publicKey }
    const { plain, sealed } = encodeSections({ ...contents, sourceSigning: foreign }, 'storage')
    await failure(() => decodeSections(plain, sealed, 'storage'), 'authentication-failed')
  })
})
