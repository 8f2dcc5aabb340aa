// Who can read or write the storage, and what they get: rows of the attack table in SECURITY.md.
import { describe, expect, it } from 'vitest'
import { ContentScheme } from '../../src/blocks/content-key.ts'
import { maskKey, unmaskKey } from '../../src/blocks/mask.ts'
import { encryptContent } from '../../src/blocks/seal.ts'
import { concat } from '../../src/bytes.ts'
import { Mode, parseEnvelope } from '../../src/format/envelope.ts'
import {
  encodeBlock,
  type KeysetReader,
  openWriter,
  parseBlock,
  type SealedBlock,
  unlockKeyset,
} from '../../src/index.ts'
import { Identity, Recipient } from '../../src/keys/key-pairs.ts'
import { openKeyset, parseKeyset, readHostPlain } from '../../src/keys/keyset-record.ts'
import { openMaster } from '../../src/keys/master.ts'
import { failure, flipped, hex, makeKeyset, PASSWORD, patched, sample, unhex } from '../fixtures.ts'

const keyset = await makeKeyset()
const lax = await makeKeyset({ encryption: 'x25519' })
const writer = openWriter(keyset.export('host'))
const [one, other] = [await writer.seal(sample(64)), await writer.seal(sample(64, 2))]

/** Everything in a keyset, as its owner's own code sees it. */
async function insides(of: KeysetReader) {
  const parsed = parseKeyset(of.export('source-storage'))
  return openKeyset(parsed, await openMaster(PASSWORD, parsed.argon2, {}))
}
const contents = await insides(keyset)
const recipient = new Recipient(contents.blockPair.publicHalves)
const identity = new Identity(contents.blockPair)

/** The block key of a block, as a share's recipient or a co-tenant may hold it. */
function blockKeyOf(block: SealedBlock) {
  const envelope = parseEnvelope(block.envelope)
  return unmaskKey({ header: envelope.header, encrypted: envelope.encrypted! }, identity, unhex(block.label))
}

describe('a writer of storage wants altered, swapped, older objects', () => {
  it('every byte of a block, flipped in every bit of it, is refused', async () => {
    const stored = encodeBlock(one)
    for (let index = 0; index < stored.length; index++) {
      const open = () => keyset.open(parseBlock(flipped(stored, index, index % 8), one.label))
      await failure(open, 'authentication-failed', 'malformed', 'unsupported', 'key-not-found', 'policy')
    }
  })

  it('a block under another label, a ciphertext or an envelope of another block, a whole object swapped', async () => {
    await failure(() => keyset.open({ ...one, label: other.label }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, ciphertext: other.ciphertext }), 'authentication-failed')
    await failure(() => keyset.open({ ...one, envelope: other.envelope }), 'authentication-failed')
    await failure(() => keyset.open({ ...other, label: one.label }), 'authentication-failed')
  })

  it('an object of another keyset, and one with its ids patched', async () => {
    const foreign = await lax.writer({ encryption: 'hybrid' }).seal(sample(64))
    await failure(() => keyset.open(foreign), 'key-not-found')
    const ids = one.envelope.subarray(16, 48)
    await failure(
      () => keyset.open({ ...foreign, envelope: patched(foreign.envelope, 16, ids) }),
      'authentication-failed',
    )
  })

  it('an older keyset', async () => {
    await failure(
      () => unlockKeyset(keyset.export('source-storage'), PASSWORD, { atLeast: keyset.version + 1 }),
      'rollback',
    )
  })
})

describe('a writer of storage with the public keys wants content planted as the owner’s own', () => {
  // Whoever reads the host's export can seal; the label needs the block salt, which is in there too.
  const host = readHostPlain(parseKeyset(keyset.export('host')))
  const blockKey = () => blockKeyOf(one)

  it('a foreign owner id is refused, whatever else holds', async () => {
    const foreign = { ownerId: sample(16), hybrid: true, mode: Mode.scoped, label: unhex(one.label) } as const
    const envelope = maskKey(blockKey(), new Recipient(host.blockPair), foreign)
    await failure(() => keyset.open({ ...one, envelope }), 'authentication-failed')
  })
})

describe('a writer of storage wants a mask that rekeying makes permanent', () => {
  it('every byte of an envelope is under its tag: none opens flipped', async () => {
    for (let index = 48; index < one.envelope.length; index++) {
      const open = () => keyset.open({ ...one, envelope: flipped(one.envelope, index, index % 8) })
      await failure(open, 'authentication-failed', 'unsupported')
    }
  })
})

describe('a writer of storage wants a weaker suite', () => {
  const x25519 = concat(patched(one.envelope, 6, [1, 1]).subarray(0, 80), one.envelope.subarray(1648))
  const none = concat(patched(one.envelope, 6, [0, 0]).subarray(0, 48), Uint8Array.of(4))

  it('suite rewritten, parts taken out: refused by policy', async () => {
    await failure(() => keyset.open({ ...one, envelope: x25519 }), 'policy')
    await failure(() => keyset.open({ ...one, envelope: none }), 'policy')
  })

  it('and refused where policy would allow it, because header and parts are in the transcript', async () => {
    const ready = await unlockKeyset(keyset.export('host'), PASSWORD, { accept: 'none' })
    await failure(() => ready.open({ ...one, envelope: x25519 }), 'authentication-failed')
    await failure(() => ready.open({ ...one, envelope: none }), 'authentication-failed')
  })

  it('mode rewritten: refused', async () => {
    for (const mode of [Mode.global, Mode.off]) {
      await failure(
        () => keyset.open({ ...one, envelope: patched(one.envelope, 1648, [mode]) }),
        'authentication-failed',
      )
    }
  })
})

describe('a writer of storage wants aliasing and mixed ciphertexts', () => {
  it('bit 255 of the ephemeral key, which X25519 itself ignores', async () => {
    await failure(() => keyset.open({ ...one, envelope: flipped(one.envelope, 79, 7) }), 'authentication-failed')
    const classic = await lax.writer().seal(sample(10))
    await failure(() => lax.open({ ...classic, envelope: flipped(classic.envelope, 79, 7) }), 'authentication-failed')
  })

  it('the ML-KEM ciphertext of another block', async () => {
    const mixed = patched(one.envelope, 80, other.envelope.subarray(80, 1648))
    await failure(() => keyset.open({ ...one, envelope: mixed }), 'authentication-failed')
  })

  it.each([
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    `ec${'ff'.repeat(30)}7f`,
  ])('the low-order point %s', async (point) => {
    await failure(
      () => keyset.open({ ...one, envelope: patched(one.envelope, 48, unhex(point)) }),
      'authentication-failed',
    )
  })
})

describe('a co-tenant or a share’s recipient wants poisoned duplicates', () => {
  // Both may know a block key: everything else they can make themselves.
  it.each([Mode.scoped, Mode.off] as const)(
    'content planted under a known block key is refused (mode %i)',
    async (mode) => {
      const victim = await openWriter(keyset.export('host'), { dedup: mode === Mode.off ? 'off' : 'scoped' }).seal(
        sample(64),
      )
      const blockKey = blockKeyOf(victim)
      const lead = mode === Mode.off ? 64 : 32
      const buffer = concat(new Uint8Array(lead), sample(64, 9), new Uint8Array(16))
      await encryptContent({ mode, buffer, blockKey, label: unhex(victim.label) })
      const place = { ownerId: contents.id, hybrid: true, mode, label: unhex(victim.label) } as const
      const planted = { ...victim, envelope: maskKey(blockKey, recipient, place), ciphertext: buffer }
      await failure(() => keyset.open(planted), 'authentication-failed')
    },
  )

  it('content planted under the key of its own hash, with a label of another keyset, is refused', async () => {
    const stranger = await insides(await makeKeyset())
    const scheme = new ContentScheme(Mode.global, stranger)
    const named = await scheme.copyAndIdentify(sample(64), new Uint8Array(64))
    const buffer = concat(sample(64), new Uint8Array(16))
    await encryptContent({ mode: Mode.global, buffer, blockKey: named.blockKey!, label: named.label })
    const place = { ownerId: contents.id, hybrid: true, mode: Mode.global, label: named.label } as const
    const envelope = maskKey(named.blockKey!, recipient, place)
    await failure(() => keyset.open({ label: hex(named.label), envelope, ciphertext: buffer }), 'authentication-failed')
  })
})

describe('a guesser wants to confirm a known file', () => {
  it('with scoped dedup equal files under two dedup keys share nothing', async () => {
    const stranger = await makeKeyset()
    const theirs = await stranger.writer().seal(sample(64))
    expect(theirs.label).not.toBe(one.label)
    for (let start = 0; start < 64; start += 8) {
      const run = Buffer.from(theirs.ciphertext.subarray(32 + start, 40 + start))
      expect(Buffer.from(one.ciphertext).includes(run)).toBe(false)
    }
  })
})
