// What each export stores (SPEC §9.3), tested with known keys.
import { unlocked } from '../../src/keyset/keyset.ts'
import { type KeyPair, publicKeyId } from '../../src/core/key-pairs.ts'
import { type Keyset, openWriter, type SealedBlock } from '../../src/index.ts'
import { describe, expect, it } from 'vitest'
import { Destination } from '../../src/keyset/layout.ts'
import { encodeKeyset, type KeysetContents, openKeyset, parseKeyset, readHostPlain } from '../../src/keyset/exports.ts'
import { type Role, SecretKey, withBytes } from '../../src/core/secret.ts'
import { failure, fieldAt, flipped, hex, patched, resummed, sample, withRandomness } from '../fixtures.ts'
import { planted, plantedContents, plantedMaster } from './planted.ts'

const destinations = Object.keys(Destination) as Destination[]
const contents = plantedContents()
const exportOf = (destination: Destination, what: KeysetContents = contents) =>
  withRandomness([sample(32)], () => encodeKeyset(what, plantedMaster, destination))
const open = (bytes: Uint8Array) => openKeyset(parseKeyset(bytes), plantedMaster)

/** Returns a keyset unlocked from a storage export of these contents. */
const unlockedFrom = (what: KeysetContents) =>
  unlocked(open(exportOf('storage', what)), plantedMaster.copy(), undefined)

/** Returns the block with the key id of this pair in its envelope. */
const addressedTo = ({ publicHalves }: KeyPair, block: SealedBlock) => ({
  ...block,
  envelope: patched(block.envelope, 16, publicKeyId(publicHalves)),
})

/** Returns contents with every key as hex, for comparison. */
function revealed(value: unknown): unknown {
  if (value instanceof SecretKey) return withBytes(value as SecretKey<Role>, hex)
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(revealed)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, revealed(field)]))
  }
  return value
}

describe.each(destinations)('a %s export', (destination) => {
  const bytes = exportOf(destination)

  it('opens to the contents that were encoded, and encodes to the same bytes again', () => {
    const adopted = contents.adopted.map(({ id, blockSalt, dedupKey }) => ({ id, blockSalt, dedupKey }))
    const expected = destination === 'definition' ? { ...contents, adopted, additional: undefined } : contents
    const opened = open(bytes)
    expect(revealed(opened)).toEqual(revealed(expected))
    expect(hex(exportOf(destination, opened))).toBe(hex(bytes))
  })

  it('refuses every flipped bit as malformed', async () => {
    for (let index = 0; index < bytes.length; index++) {
      await failure(() => parseKeyset(flipped(bytes, index, index % 8)), 'malformed')
    }
  })

  it('refuses a flipped bit even if the checksum is recomputed', async () => {
    // After byte 300 come mostly public keys, which are long: every 29th byte is enough.
    for (let index = 0; index < bytes.length - 8; index += index < 300 || process.env['SLOW'] === '1' ? 1 : 29) {
      const forged = resummed(flipped(bytes, index, index % 8))
      await failure(() => open(forged), 'authentication-failed', 'malformed', 'unsupported')
    }
  })

  it('refuses a truncated or extended export', async () => {
    for (let length = 0; length < bytes.length; length += 1 + (length % 89)) {
      await failure(() => parseKeyset(bytes.subarray(0, length)), 'malformed')
      await failure(() => parseKeyset(resummed(bytes.subarray(0, length))), 'malformed')
    }
    await failure(() => parseKeyset(new Uint8Array([...bytes, 0])), 'malformed')
    await failure(() => parseKeyset(resummed(new Uint8Array([...bytes, 0]))), 'malformed')
  })

  it('is unsupported with any other value in a header or destination field', async () => {
    for (const [field, offset, value] of [
      ['version', 4, 2],
      ['type', 5, 12],
      ['suite', 7, 1],
      ['generation', 11, 0],
      ['generation', 11, 2],
      ['generation', 8, 1],
      ['flags', 15, 1],
      ['destination', fieldAt(bytes, 'destination'), 4],
      ['encryption', fieldAt(bytes, 'encryption'), 3],
      ['dedup', fieldAt(bytes, 'dedup'), 4],
    ] as const) {
      const error = await failure(() => parseKeyset(resummed(patched(bytes, offset, [value]))), 'unsupported')
      expect(error.detail).toMatchObject({ field })
    }
  })

  it('does not open under another master key', async () => {
    const other = new SecretKey('master', sample(32))
    await failure(() => openKeyset(parseKeyset(bytes), other), 'authentication-failed')
  })

  it('cannot be changed into an export for another destination', async () => {
    for (const code of [1, 2, 3].filter((code) => code !== Destination[destination])) {
      await failure(
        () => open(resummed(patched(bytes, fieldAt(bytes, 'destination'), [code]))),
        'authentication-failed',
      )
    }
  })
})

describe('what each export stores', () => {
  const runOf = (byte: number) => Buffer.alloc(32, byte)
  const base32 = (bytes: Uint8Array) => {
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
    return bits
      .replaceAll(/.{5}/g, (five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)]!)
      .slice(0, 24)
  }
  const contains = (bytes: Uint8Array, run: Uint8Array) => Buffer.from(bytes).includes(Buffer.from(run))
  /** Tells whether bytes contain a planted secret: raw, or in hex, base64 or base32, at any alignment. */
  const holds = (bytes: Uint8Array, byte: number) => {
    const text = Buffer.from(bytes)
    const secret = runOf(byte)
    const written = [0, 1, 2, 3, 4].flatMap((shift) => {
      const shifted = secret.subarray(shift)
      return [shifted.toString('hex'), shifted.toString('base64').slice(0, 24), base32(shifted)]
    })
    return [secret.subarray(0, 8), ...written].some(
      (form) => text.includes(form) || text.includes(String(form).toLowerCase()),
    )
  }

  it('the host export holds three of the secrets in plain: block salt, dedup key, source signing key', () => {
    const host = exportOf('host')
    const plain = Object.keys(planted).filter((name) => holds(host, planted[name as keyof typeof planted]))
    expect(plain).toEqual(['blockSalt', 'dedupKey', 'sourceSigning'])
  })

  it.each(['definition', 'storage'] as const)('the %s export holds no secret in plain', (destination) => {
    for (const [name, byte] of Object.entries(planted)) expect(holds(exportOf(destination), byte), name).toBe(false)
  })

  it('the search finds a secret in every form', () => {
    const secret = runOf(0x51)
    for (const form of [secret, secret.toString('hex'), secret.toString('base64'), base32(secret)]) {
      expect(holds(Buffer.concat([Buffer.from('x'), Buffer.from(form)]), 0x51)).toBe(true)
    }
  })

  it('public halves are plain in the host export only', () => {
    const everyPair = [contents.blockPair, ...contents.additional!.retired, ...contents.additional!.shares].map(
      (pair) => pair.publicHalves,
    )
    for (const { x25519, mlKem1024 } of everyPair) {
      for (const half of [x25519, mlKem1024]) {
        expect(contains(exportOf('host'), half)).toBe(true)
        expect(contains(exportOf('definition'), half)).toBe(false)
        expect(contains(exportOf('storage'), half)).toBe(false)
      }
    }
    const { sharing } = contents.additional!
    expect(contains(exportOf('host'), sharing.publicHalves.x25519)).toBe(false)
  })

  it('the plain section of a host export can be read without a key', () => {
    const plain = readHostPlain(parseKeyset(exportOf('host')))
    expect(revealed(plain.dedupKey)).toBe('54'.repeat(32))
    expect(plain.shares.map((share) => share.id[0])).toEqual([0xe1, 0xe2])
    expect(plain.adopted.map((source) => source.id[0])).toEqual([0xed])
    expect(plain.cardSigning).toEqual(contents.additional!.cardSigning.publicKey)
  })

  it('a keyset opened from a definition cannot export to host or storage', async () => {
    const defined = open(exportOf('definition'))
    for (const destination of ['host', 'storage'] as const) {
      const error = await failure(() => exportOf(destination, defined), 'policy')
      expect(error.detail).toEqual({ rule: 'all-keys', what: `export to ${destination}` })
    }
  })

  it('unlocking refuses a block pair or a source signing pair with mismatched halves', async () => {
    const { blockPair, sourceSigning, additional } = plantedContents()
    const foreign = plantedContents().additional!.sharing
    const swapped: KeysetContents[] = [
      { ...contents, blockPair: { ...blockPair, publicHalves: foreign.publicHalves } },
      { ...contents, sourceSigning: { ...sourceSigning, publicKey: additional!.cardSigning.publicKey } },
    ]
    for (const wrong of swapped) await failure(() => unlockedFrom(wrong), 'authentication-failed')
  })

  it('the first use refuses any other pair with mismatched halves, and everything else still works', async () => {
    const { blockPair, sourceSigning, additional } = plantedContents()
    const { sharing, cardSigning, retired, shares } = additional!
    const old = retired[0]!
    const writer = openWriter(exportOf('host', { ...contents, blockPair: old }))
    const block = await writer.seal(sample(10))
    const id = hex(shares[0]!.id)
    const uses: [Partial<NonNullable<KeysetContents['additional']>>, (keyset: Keyset) => unknown][] = [
      [
        { retired: [{ ...old, publicHalves: sharing.publicHalves }] },
        (keyset) => keyset.open(addressedTo(sharing, block)),
      ],
      [{ sharing: { ...sharing, publicHalves: blockPair.publicHalves } }, (keyset) => keyset.card()],
      [{ cardSigning: { ...cardSigning, publicKey: sourceSigning.publicKey } }, (keyset) => keyset.card()],
      [{ cardSigning: { ...cardSigning, publicKey: sourceSigning.publicKey } }, (keyset) => keyset.share(id)],
      [{ shares: [{ ...shares[0]!, publicHalves: sharing.publicHalves }] }, (keyset) => keyset.share(id)],
    ]
    for (const [change, use] of uses) {
      using keyset = unlockedFrom({ ...contents, additional: { ...additional!, ...change } })
      await failure(() => use(keyset), 'authentication-failed')
      expect(await keyset.open(await keyset.seal(sample(10)))).toEqual(sample(10))
    }
    using whole = unlockedFrom(contents)
    expect(await whole.open(block)).toEqual(sample(10))
  })

  it('an export is at most 1 MiB', async () => {
    await failure(() => parseKeyset(new Uint8Array(1024 * 1024 + 1)), 'limit-exceeded')
    await failure(() => parseKeyset(new Uint8Array(1024 * 1024)), 'malformed')
  })
})
