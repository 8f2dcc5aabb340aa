import { Destination } from '../../src/keyset/layout.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeyset, openWriter, unlockKeyset } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import {
  CHEAP,
  failure,
  fieldAt,
  flipped,
  hex,
  makeKeyset,
  PASSWORD,
  patched,
  quick,
  quickly,
  resummed,
  sample,
} from '../fixtures.ts'

beforeAll(() => useBackend(quick))
afterAll(() => useBackend(undefined))

const destinations: readonly Destination[] = ['host', 'definition', 'storage']
const keyset = await quickly(makeKeyset)
const content = sample(1000)
const block = await openWriter(keyset.export('host')).seal(content)

describe('createKeyset', () => {
  it('creates a different keyset each time', async () => {
    const other = await makeKeyset()
    expect(keyset.id).toMatch(/^[0-9a-f]{32}$/)
    expect(other.id).not.toBe(keyset.id)
    expect(keyset.revision).toMatch(/^1-[0-9a-f]{32}$/)
    expect((await openWriter(other.export('host')).seal(content)).label).not.toBe(block.label)
  })

  it('refuses an empty password, costs above the limits, and costs below the minimum', async () => {
    await failure(() => createKeyset('', { costs: CHEAP }), 'invalid-text')
    await failure(() => createKeyset(PASSWORD, { costs: { ...CHEAP, memoryKiB: 2 ** 21 } }), 'limit-exceeded')
    await failure(() => createKeyset(PASSWORD, { costs: { ...CHEAP, iterations: 1 } }), 'limit-exceeded')
  })

  it('throws TypeError for an invalid password or option', async () => {
    await expect(createKeyset(undefined as never, { costs: CHEAP })).rejects.toThrow(TypeError)
    await failure(() => createKeyset('\ud800', { costs: CHEAP }), 'invalid-text')
    await failure(() => createKeyset(`${PASSWORD}\r\n`, { costs: CHEAP }), 'invalid-text')
    await expect(createKeyset(PASSWORD, { encryption: 'rot13' as never })).rejects.toThrow(TypeError)
    await expect(createKeyset(PASSWORD, { dedup: 'toString' as never })).rejects.toThrow(TypeError)
    await expect(createKeyset(PASSWORD, { dedupWith: { ...keyset } })).rejects.toThrow(TypeError)
  })

  it('reports progress and can be aborted', async () => {
    const fractions: number[] = []
    await makeKeyset({ onProgress: (fraction) => fractions.push(fraction) })
    expect(fractions.at(-1)).toBe(1)
    await failure(() => makeKeyset({ signal: AbortSignal.abort() }), 'aborted')
  })
})

describe('unlockKeyset', () => {
  it.each(destinations)('opens blocks from the %s export and the password', async (destination) => {
    const unlocked = await unlockKeyset(keyset.export(destination), PASSWORD)
    expect(unlocked.id).toBe(keyset.id)
    expect(unlocked.revision).toBe(keyset.revision)
    expect(await unlocked.open(block)).toEqual(content)
  })

  it('normalises the password, so that it can be typed on any keyboard', async () => {
    const accented = await createKeyset('pa\u00dfwort \u00e9', { costs: CHEAP })
    await unlockKeyset(accented.export('host'), 'pa\u00dfwort\u00a0e\u0301')
  })

  it.each(destinations)('%s throws wrong-password only for a wrong password, not for damage', async (destination) => {
    const bytes = keyset.export(destination)
    await failure(() => unlockKeyset(bytes, `${PASSWORD} `), 'wrong-password')
    await failure(() => unlockKeyset(bytes, ''), 'invalid-text')
    await failure(() => unlockKeyset(bytes, `${PASSWORD}\n`), 'invalid-text')
    await failure(() => unlockKeyset(flipped(bytes, 80), PASSWORD), 'malformed')
    await failure(() => unlockKeyset(flipped(bytes, 80), 'wrong'), 'malformed')
    // If an attacker recomputes the checksum, a changed Argon2 record (here the salt) looks like a wrong password.
    // A change elsewhere does not.
    await failure(
      () => unlockKeyset(resummed(flipped(bytes, fieldAt(bytes, 'argon2') + 12)), PASSWORD),
      'wrong-password',
    )
    await failure(() => unlockKeyset(resummed(flipped(bytes, bytes.length - 9)), PASSWORD), 'authentication-failed')
  })

  it('refuses costs above the limits in the argon2 record', async () => {
    const host = keyset.export('host')
    const greedy = resummed(patched(host, fieldAt(host, 'argon2'), [0, 0, 0, 64, 0, 16, 0, 0]))
    const error = await failure(() => unlockKeyset(greedy, PASSWORD), 'limit-exceeded')
    expect(error.detail).toEqual({ iterations: 64, memoryKiB: 1_048_576, lanes: 1 })
  })

  it('refuses costs above those that the caller allows', async () => {
    const bytes = keyset.export('host')
    await unlockKeyset(bytes, PASSWORD, { costs: CHEAP })
    await failure(() => unlockKeyset(bytes, PASSWORD, { costs: { ...CHEAP, memoryKiB: 8192 } }), 'limit-exceeded')
    const costs = { iterations: 3, memoryKiB: 19_456, lanes: 2 }
    const dear = (await makeKeyset({ costs })).export('host')
    await unlockKeyset(dear, PASSWORD, { costs })
    for (const less of [{ iterations: 2 }, { memoryKiB: 19_455 }, { lanes: 1 }]) {
      const error = await failure(
        () => unlockKeyset(dear, PASSWORD, { costs: { ...costs, ...less } }),
        'limit-exceeded',
      )
      expect(error.detail).toEqual({ object: 'keyset', ...costs })
    }
  })

  it('refuses a keyset older than atLeast before it checks the password', async () => {
    const atLeast = keyset.regenerate().revision
    const error = await failure(() => unlockKeyset(keyset.export('host'), 'wrong', { atLeast }), 'rollback')
    expect(error.detail).toEqual({ revision: keyset.revision, atLeast })
    await unlockKeyset(keyset.export('host'), PASSWORD, { atLeast: keyset.revision })
  })

  it.each([
    '',
    '1',
    '-1',
    '0-00',
    1,
    null,
    undefined,
    `0-${'0'.repeat(32)}`,
    `1-${'A'.repeat(32)}`,
    `01-${'a'.repeat(32)}`,
  ])('throws TypeError for atLeast: %j, which is not a revision', async (atLeast) => {
    await expect(unlockKeyset(keyset.export('host'), PASSWORD, { atLeast: atLeast as never })).rejects.toThrow(
      TypeError,
    )
  })

  it('refuses input that is not a keyset export', async () => {
    await failure(() => unlockKeyset(new Uint8Array(0), PASSWORD), 'malformed')
    await failure(() => unlockKeyset(block.envelope, PASSWORD), 'malformed')
    await failure(() => unlockKeyset(new Uint8Array(2 ** 20 + 1), PASSWORD), 'limit-exceeded')
    await expect(unlockKeyset('KSTR' as never, PASSWORD)).rejects.toThrow(TypeError)
    await expect(unlockKeyset(keyset.export('host'), PASSWORD, { allowWeaker: 'all' as never })).rejects.toThrow(
      TypeError,
    )
  })
})

describe('export', () => {
  it.each(destinations)('gives the same %s bytes on every call, each time as a copy', (destination) => {
    const first = keyset.export(destination)
    const kept = hex(first)
    first.fill(0)
    expect(hex(keyset.export(destination))).toBe(kept)
  })

  it('throws TypeError for an invalid destination', () => {
    expect(() => keyset.export('cloud' as never)).toThrow(TypeError)
    expect(() => keyset.export('constructor' as never)).toThrow(TypeError)
  })

  it('of a definition to host or storage is refused, because a definition does not have all keys', async () => {
    const defined = await unlockKeyset(keyset.export('definition'), PASSWORD)
    for (const destination of ['host', 'storage'] as const) {
      const error = await failure(() => defined.export(destination), 'policy')
      expect(error.detail).toEqual({ rule: 'all-keys', what: `export to ${destination}` })
    }
    expect(await unlockKeyset(defined.export('definition'), PASSWORD)).toHaveProperty('id', keyset.id)
    // Everything else works as in any other keyset.
    expect(await keyset.open(await defined.seal(content))).toEqual(content)
  })
})

describe('openWriter', () => {
  it('refuses every export but the host export', async () => {
    for (const destination of ['definition', 'storage'] as const) {
      const error = await failure(() => openWriter(keyset.export(destination)), 'policy')
      expect(error.detail).toEqual({ rule: 'host-export' })
    }
  })

  it('refuses a damaged export, and an invalid public key', async () => {
    const host = keyset.export('host')
    await failure(() => openWriter(flipped(host, 200)), 'malformed')
    await failure(() => openWriter(host.subarray(1)), 'malformed')
    // The X25519 public key follows the length of the plain section and the minimum.
    await failure(
      () => openWriter(resummed(patched(host, fieldAt(host, 'plain') + 1, new Uint8Array(32)))),
      'malformed',
    )
    expect(() => openWriter('host' as never)).toThrow(TypeError)
    expect(() => openWriter(host, { dedup: 'none' as never })).toThrow(TypeError)
  })

  it('gives a writer with the id and revision of the keyset, which gives the same labels every time', async () => {
    const writer = openWriter(keyset.export('host'))
    expect(writer).toMatchObject({ id: keyset.id, revision: keyset.revision })
    expect((await writer.seal(content)).label).toBe((await openWriter(keyset.export('host')).seal(content)).label)
  })

  it('copies the export, so later changes to it have no effect', async () => {
    const host = keyset.export('host')
    const writer = openWriter(host)
    host.fill(0)
    expect(await keyset.open(await writer.seal(content))).toEqual(content)
  })
})

describe('minimum encryption', () => {
  it.each([
    ['hybrid', 'x25519'],
    ['hybrid', 'none'],
    ['x25519', 'none'],
  ] as const)('a keyset created with %s refuses a writer with %s', async (own, weaker) => {
    const strict = await makeKeyset({ encryption: own })
    for (const open of [
      () => openWriter(strict.export('host'), { encryption: weaker }),
      () => openWriter(strict.export('host'), { encryption: weaker }),
    ]) {
      const error = await failure(open, 'policy')
      expect(error.detail).toMatchObject({ rule: 'minimum-encryption' })
    }
  })

  it('allows stronger encryption', async () => {
    const open = await makeKeyset({ encryption: 'none' })
    for (const encryption of ['none', 'x25519', 'hybrid'] as const) {
      expect(await open.open(await openWriter(open.export('host'), { encryption }).seal(content))).toEqual(content)
    }
  })

  it('is checked by the reader too, unless the caller allows weaker blocks', async () => {
    // An altered host export: its minimum is 0 (none), but the keyset's is 2 (hybrid).
    const host = keyset.export('host')
    const weakened = resummed(patched(host, fieldAt(host, 'plain'), [0]))
    for (const encryption of ['none', 'x25519'] as const) {
      const weak = await openWriter(weakened, { encryption }).seal(content)
      const error = await failure(() => keyset.open(weak), 'policy')
      expect(error.detail).toMatchObject({ rule: 'minimum-encryption', minimum: 2 })
      const ready = await unlockKeyset(keyset.export('host'), PASSWORD, { allowWeaker: encryption })
      expect(await ready.open(weak)).toEqual(content)
      if (encryption === 'none') continue
      const stricter = await unlockKeyset(keyset.export('host'), PASSWORD, { allowWeaker: 'hybrid' })
      await failure(() => stricter.open(weak), 'policy')
    }
  })
})

describe('dispose', () => {
  it('ends a reader, but not the writers opened from its exports', async () => {
    const gone = await makeKeyset()
    const host = gone.export('host')
    const writer = openWriter(gone.export('host'))
    const theirs = await writer.seal(content)
    gone.dispose()
    gone.dispose()
    await failure(() => gone.open(theirs), 'disposed')
    await failure(() => gone.export('host'), 'disposed')
    await failure(() => openWriter(gone.export('host')), 'disposed')
    await failure(() => makeKeyset({ dedupWith: gone }), 'disposed')
    expect((await writer.seal(content)).label).toBe(theirs.label)
    expect(await (await unlockKeyset(host, PASSWORD)).open(theirs)).toEqual(content)
  })

  it('ends a writer and the blocks that it prepared', async () => {
    const writer = openWriter(keyset.export('host'))
    const prepared = await writer.prepare(content)
    writer.dispose()
    await failure(() => prepared.seal(), 'disposed')
    await failure(() => writer.prepare(content), 'disposed')
    await failure(() => writer.seal(content), 'disposed')
  })

  it('ends a prepared block', async () => {
    const prepared = await openWriter(keyset.export('host')).prepare(content)
    prepared[Symbol.dispose]()
    await failure(() => prepared.seal(), 'disposed')
    expect(prepared.label).toBe(block.label)
  })
})

describe('handles', () => {
  it('cannot be serialised or cloned, and have no property with bytes', async () => {
    const writer = openWriter(keyset.export('host'))
    for (const handle of [keyset, writer, await writer.prepare(content)]) {
      expect(() => JSON.stringify(handle)).toThrow(TypeError)
      expect(() => structuredClone(handle)).toThrow()
      expect(Object.values(handle).filter((value) => ArrayBuffer.isView(value))).toEqual([])
    }
  })
})
