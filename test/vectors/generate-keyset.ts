// Adds the vectors of keysets below to keyset.json and revision.json, unless they are there already. The faults are made
// in the frozen exports, because a new export has another nonce. generate.ts imports this file.
import { concat, u8, xor } from '../../src/core/bytes.ts'
import { encode } from '../../src/core/codec.ts'
import { encodeHeader, ObjectType } from '../../src/core/header.ts'
import { keyPairOf, signingPairOf } from '../../src/core/key-pairs.ts'
import { hashPassword } from '../../src/core/password.ts'
import { SecretKey, withBytes } from '../../src/core/secret.ts'
import { Suite } from '../../src/core/suite.ts'
import { fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { keyIdOf, wrapSecret } from '../../src/core/wrap.ts'
import {
  encodeKeyset,
  encodeSections,
  type KeysetContents,
  openKeyset,
  parseKeyset,
  withRevision,
} from '../../src/keyset/exports.ts'
import { type AdoptedSource, argon2Record, Destination } from '../../src/keyset/layout.ts'
import { Mode } from '../../src/keyset/mask.ts'
import { openMaster } from '../../src/keyset/master.ts'
import { createRevision, type Revision, revisionText } from '../../src/keyset/revision.ts'
import { derive } from '../../src/primitives/kdf.ts'
import { fieldAt, flipped, hex, patched, resummed, sample, unhex, withRandomness } from '../fixtures.ts'
import { plantedContents } from '../keyset/planted.ts'
import { append } from './append.ts'
import { header, summed } from './make-by-hand.ts'
import { type KeysetVector, keysetVectors, type RevisionVector } from './vectors.ts'

export const PASSWORD = 'ångström \u{1f511} pass phrase'
/** The random bytes in the revisions of these vectors. */
const RANDOM = sample(32, 13)

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}
function u32(value: number): Uint8Array {
  return concat(u16(value >>> 16), u16(value & 0xffff))
}
function u64(value: bigint | number): Uint8Array {
  return concat(u32(Number(BigInt(value) >> 32n)), u32(Number(BigInt(value) & 0xffff_ffffn)))
}

/** Returns the planted keys under a password, with the lowest Argon2 costs that readers accept. */
async function keysetUnder(password: string): Promise<{ contents: KeysetContents; master: SecretKey<'master'> }> {
  const costs = { iterations: 1, memoryKiB: 16, lanes: 2 }
  const [salt, nonce] = [sample(32, 11), sample(32, 12)]
  const master = new SecretKey('master', xor(await hashPassword(password, salt, costs, {}, 32), nonce))
  const verify = derive(master, new Uint8Array(0), 'master-verify', [], 32)
  return { contents: { ...plantedContents(), argon2: { ...costs, salt, nonce, verify } }, master }
}

const planted = await keysetUnder(PASSWORD)
export const master: SecretKey<'master'> = planted.master

const revised = (of: KeysetContents): KeysetContents =>
  withRandomness([RANDOM], () => withRevision({ ...of, history: of.history }, master))

/** The planted keyset with an adopted source, a revoked share and a history. */
export const full: KeysetContents = revised(planted.contents)
const complete = full.additional
if (complete === undefined) throw new Error('the planted keyset has all keys')
/** The same without them. */
export const contents: KeysetContents = revised({
  ...full,
  history: [],
  adopted: [],
  additional: { ...complete, revoked: [] },
})
/** A keyset that takes unencrypted blocks. */
export const unencrypted: KeysetContents = revised({
  ...contents,
  encryption: 0,
  dedup: Mode.off,
  blockPair: keyPairOf(0, {
    x25519: new SecretKey('x25519', sample(32, 21)),
    mlKem1024: new SecretKey('ml-kem-1024', sample(64, 22)),
  }),
})
/** The same with an adopted source. */
export const unencryptedAdopter: KeysetContents = revised({ ...unencrypted, adopted: full.adopted })

const frozen = new Map(keysetVectors().map((vector) => [vector.id, unhex(vector.export)]))
const keysets: KeysetVector[] = []
/** Adds a vector, and returns its export: the frozen one if there is one. */
function keyset(
  id: string,
  section: string,
  comment: string,
  made: Uint8Array,
  more: Partial<KeysetVector> = {},
): Uint8Array<ArrayBuffer> {
  const bytes = frozen.get(id) ?? new Uint8Array(made)
  keysets.push({ id, section, comment, password: PASSWORD, export: hex(bytes), expect: 'ok', ...more })
  return bytes
}
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
const tooMuch = { expect: 'limit-exceeded' } as const
const refused = { expect: 'authentication-failed' } as const

/** What an export is made of. A change can make one that the library does not write. */
interface Parts {
  generation: number
  version: number | bigint
  history: Uint8Array
  plain: Uint8Array
  sealed: Uint8Array
}

/** Returns an export with a right mac and checksum, whatever is wrong in it. */
function assembled(
  of: KeysetContents,
  destination: Destination,
  change: Partial<Parts> | ((parts: Parts) => Partial<Parts>) = {},
): Uint8Array<ArrayBuffer> {
  const { id, version, revision, encryption, dedup, argon2 } = of
  const parts: Parts = { generation: 1, version, history: entries(of.history), ...encodeSections(of, destination) }
  Object.assign(parts, typeof change === 'function' ? change(parts) : change)
  const [code, context] = [Destination[destination], u8(Destination[destination])]
  const sealed = wrapSecret(master, parts.sealed, { type: ObjectType.sealedSection, ownerId: id, context })
  const { generation, plain } = parts
  const whole = concat(
    encodeHeader({ type: ObjectType.keyset, suite: Suite.none, generation, keyId: keyIdOf(master), ownerId: id }),
    ...[u64(parts.version), revision, parts.history, Uint8Array.of(code, encryption, dedup)],
    ...[encode(argon2Record, argon2), u32(plain.length), plain, u32(sealed.length), sealed, new Uint8Array(72)],
  )
  fillTrailer(whole, (authenticated) => macUnder(master, 'keyset-mac', [context], authenticated))
  return whole
}

/** Returns the bytes of a history, in whatever order. */
function entries(history: readonly { version: number | bigint; id: Uint8Array }[], count = history.length): Uint8Array {
  return concat(u16(count), ...history.flatMap(({ version, id }) => [u64(version), id]))
}

const exportFor = (destination: Destination, of = contents) => encodeKeyset(of, master, destination)
const host = keyset(
  'host',
  '9.3',
  'retired pairs and shares; no history, no revoked shares, no adopted sources',
  exportFor('host'),
)
const storage = keyset('source-storage', '9.3', 'the same keyset: everything sealed', exportFor('storage'))
// The frozen exports may have another master key than this file makes now. All exports of one version have the same.
const stored = parseKeyset(storage)
const storedMaster = await openMaster(PASSWORD, stored.argon2, {})
keyset(
  'source-definition',
  '9.3',
  'the same keyset: no sharing pair, no card signing seed, no retired pairs, no shares',
  encodeKeyset(openKeyset(stored, storedMaster), storedMaster, 'definition'),
)
const bare = revised({
  ...contents,
  additional: { ...complete, retired: [], shares: [], revoked: [] },
})
keyset('host-empty-lists', '9.3', 'as createKeyset makes it', exportFor('host', bare))
keyset('source-storage-empty-lists', '9.3', 'as createKeyset makes it', exportFor('storage', bare))
keyset('no-minimum', '3.1', 'a keyset that takes unencrypted blocks', exportFor('host', unencrypted))

// Golden files of everything that there is.
const fullHost = keyset('host-full', '9.3', 'every list has entries', exportFor('host', full), {
  writer: 'ok',
  card: 'ok',
})
const fullDefinition = keyset('definition-full', '9.3', 'the same keyset', exportFor('definition', full), {
  writer: 'policy',
  card: 'policy',
})
const fullStorage = keyset('storage-full', '9.3', 'the same keyset', exportFor('storage', full), {
  writer: 'policy',
  card: 'ok',
})
keyset(
  'no-minimum-adopter',
  '9.4',
  'a keyset that takes unencrypted blocks, and has adopted another',
  exportFor('host', unencryptedAdopter),
)

/** Returns the longest history of a version: 255 entries, without a gap. */
const long = (version: number): Revision[] =>
  Array.from({ length: 255 }, (_, i) => ({ version: version - 1 - i, id: sample(16, version - 1 - i) }))
const old: KeysetContents = revised({ ...full, version: 300, history: long(300) })
keyset('host-history-255', '9.2', 'the longest history', exportFor('host', old))
const longDefinition = keyset('definition-history-255', '9.2', 'the same keyset', exportFor('definition', old))
keyset('storage-history-255', '9.2', 'the same keyset', exportFor('storage', old))
const [low, high] = [new Uint8Array(16).fill(0x0f), new Uint8Array(16).fill(0xf0)]
const merged = [
  { version: 6, id: low },
  { version: 6, id: high },
  { version: 2, id: low },
]
keyset(
  'history-branches',
  '9.2',
  'equal versions, and a gap',
  assembled(full, 'definition', { history: entries(merged) }),
)

/** Returns adopted sources with keys of their own. */
const sources = (count: number): AdoptedSource[] =>
  Array.from({ length: count }, (_, i) => ({
    id: new Uint8Array(16).fill(i + 1),
    blockSalt: new SecretKey('block-salt', sample(32, 100 + i)),
    dedupKey: new SecretKey('dedup', sample(32, 200 + i)),
    keys: {
      sourceSigning: signingPairOf(new SecretKey('signing', sample(32, 300 + i))).publicKey,
      sharing: keyPairOf(2, {
        x25519: new SecretKey('x25519', sample(32, 400 + i)),
        mlKem1024: new SecretKey('ml-kem-1024', sample(64, 500 + i)),
      }),
      cardSigning: signingPairOf(new SecretKey('signing', sample(32, 600 + i))),
    },
  }))
const revoked = Array.from({ length: 255 }, (_, i) => sample(16, 1000 + i))
const most = revised({ ...contents, adopted: sources(16), additional: { ...complete, revoked } })
for (const destination of ['host', 'definition', 'storage'] as const) {
  keyset(`${destination}-most`, '9.3', '16 adopted sources, 255 revoked shares', exportFor(destination, most))
}

// Faults in the frame of an export.
keyset('password-decomposed', '1.2', 'the password in NFD', host, { password: PASSWORD.normalize('NFD') })
keyset('password-spaces', '1.2', 'a no-break space and an ideographic space for spaces', host, {
  password: PASSWORD.replace(' ', '\u00a0').replace(' ', '\u3000'),
})
keyset('wrong-password', '9.2', 'one character more', host, { password: `${PASSWORD}x`, expect: 'wrong-password' })
keyset('empty-password', '1.2', 'no password', host, { password: '', expect: 'invalid-text' })
keyset('too-short', '9.2', '55 bytes', host.subarray(0, 55), malformed)
keyset('magic', '9.2', 'kSTR', resummed(patched(host, 0, [0x6b])), malformed)
keyset('checksum', '9.2', 'the last bit flipped', flipped(host, host.length - 1), malformed)
keyset('damage-in-verify', '9.2', 'one bit of verify, by accident: not a wrong password', flipped(host, 160), malformed)
keyset('version-byte', '2', 'version 2 of the format', resummed(patched(host, 4, [2])), unsupported)
keyset('type', '2', 'type 12', resummed(patched(host, 5, [12])), unsupported)
keyset('suite', '2', 'suite 0x0001', resummed(patched(host, 7, [1])), unsupported)
keyset(
  'generation-0',
  '2',
  'generation 0, under a right mac',
  assembled(full, 'definition', { generation: 0 }),
  unsupported,
)
keyset(
  'generation-2',
  '2',
  'generation 2, under a right mac',
  assembled(full, 'definition', { generation: 2 }),
  unsupported,
)
keyset('flag', '2', 'an unknown flag', resummed(patched(host, 12, [0x80])), unsupported)
keyset('destination', '9.2', 'destination 4', resummed(patched(host, 74, [4])), unsupported)
keyset('encryption', '9.2', 'encryption 3', resummed(patched(host, 75, [3])), unsupported)
keyset('dedup', '9.2', 'dedup mode 4', resummed(patched(host, 76, [4])), unsupported)
const longer = resummed(concat(host, new Uint8Array(1)))
keyset('trailing', '1.1', 'a byte behind the checksum, the checksum made right', longer, malformed)
const shorter = resummed(concat(host.subarray(0, 400), host.subarray(401)))
keyset('cut-body', '1.1', 'a byte of the body gone, the checksum made right', shorter, malformed)
const plainLength = new DataView(host.buffer, host.byteOffset).getUint32(185)
keyset(
  'plain-length',
  '1.1',
  'the length of the plain section one less',
  resummed(patched(host, 185, u32(plainLength - 1))),
  malformed,
)
keyset('version-zero', '9.2', 'keyset version 0', resummed(patched(host, 48, u64(0))), malformed)
keyset('version-huge', '9.2', 'keyset version 2⁵³', resummed(patched(host, 48, u64(2n ** 53n))), malformed)
keyset('version-highest', '9.2', 'keyset version 2⁵³ − 1', assembled(full, 'definition', { version: 2n ** 53n - 1n }))
keyset('argon2-iterations', '1.6', '65 iterations', resummed(patched(host, 77, u32(65))), tooMuch)
keyset('argon2-memory', '1.6', '1 GiB and 1 KiB', resummed(patched(host, 81, u32(2 ** 20 + 1))), tooMuch)
keyset('argon2-lanes', '1.6', '17 lanes', resummed(patched(host, 85, u32(17))), tooMuch)
keyset('argon2-memory-per-lane', '1.6', '15 KiB for 2 lanes', resummed(patched(host, 81, u32(15))), tooMuch)
keyset('mac', '9.2', 'one bit of the mac, the checksum made right', resummed(flipped(host, host.length - 9)), refused)
keyset('revision-altered', '9.2', 'one bit of the revision', resummed(flipped(fullDefinition, 60)), refused)
keyset('history-altered', '9.2', 'one bit of a revision in the history', resummed(flipped(fullDefinition, 90)), refused)
keyset('swapped-public-key', '9.2', 'another X25519 public key in the plain section', resummed(flipped(host, 198)), {
  ...refused,
  writer: 'ok',
})
keyset('minimum-lowered', '9.2', 'minimum 0 in the plain section', resummed(patched(host, 189, [0])), {
  ...refused,
  writer: 'ok',
})
keyset(
  'other-destination',
  '9.2',
  'the storage export called a definition',
  resummed(patched(storage, 74, [2])),
  refused,
)
const foreignHalf = { ...full, blockPair: { ...full.blockPair, publicHalves: complete.sharing.publicHalves } }
keyset('halves-apart', '9.3', 'public halves of another pair, under a right mac', exportFor('storage', foreignHalf), {
  ...refused,
})

// Faults in the history, under a right mac.
function history(id: string, comment: string, bytes: Uint8Array, more: Partial<KeysetVector> = malformed): void {
  keyset(id, '9.2', comment, assembled(full, 'definition', { history: bytes }), more)
}
const past = full.history as [Revision, Revision]
history('history-order', 'the older revision first', entries([past[1], past[0]]))
history('history-equal-versions', 'equal versions in falling order of their bytes', entries([merged[1]!, merged[0]!]))
history('history-repeated', 'an entry twice', entries([past[0], past[0], past[1]]))
history('history-own-version', 'an entry of the keyset’s own version', entries([{ version: 7, id: low }, ...past]))
history('history-above', 'an entry of a later version', entries([{ version: 8, id: low }, ...past]))
history('history-zero', 'an entry of version 0', entries([...past, { version: 0, id: low }]))
history('history-huge', 'an entry of version 2⁵³', entries([{ version: 2n ** 53n, id: low }, ...past]))
history('history-count', 'a count of one more than there are entries', entries(past, 3))
history('history-count-short', 'a count of one less than there are entries', entries(past, 1))
const { history: many } = old
keyset(
  'history-256',
  '9.2',
  '256 entries',
  assembled(old, 'definition', { history: entries([...many, { version: 44, id: low }]) }),
  malformed,
)
keyset(
  'history-cut',
  '9.2',
  'the end in the middle of the history',
  resummed(concat(fullDefinition.subarray(0, 100), new Uint8Array(72))),
  {
    ...malformed,
  },
)

// Faults in the sections, under a right mac.
/** Returns a change that replaces bytes of a section from an offset on; a negative one counts from the end. */
function section(which: 'plain' | 'sealed', offset: number, bytes: Uint8Array): (parts: Parts) => Partial<Parts> {
  return (parts) => {
    const whole = parts[which]
    return { [which]: patched(whole, offset < 0 ? whole.length + offset : offset, bytes) }
  }
}
/** The block pair, the block salt, the dedup key and the source signing pair. */
const BEFORE_CARD_KEY = 1697 + 64 + 64
const SEALED_SOURCE = { host: 32 + 32 + 1697 + 32, definition: 16 + 32 + 32, storage: 16 + 32 + 32 + 32 + 1697 + 64 }
/** Returns sections that list one more of 16 adopted sources, or of 255 revoked shares. */
for (const destination of ['host', 'definition', 'storage'] as const) {
  const size = SEALED_SOURCE[destination]
  const overfull = assembled(most, destination, ({ plain, sealed }) => ({
    plain: destination === 'host' ? concat(patched(plain, plain.length - 16 * 80 - 2, u16(17)), sample(80)) : plain,
    sealed: concat(patched(sealed, sealed.length - 16 * size - 2, u16(17)), sealed.subarray(-size)),
  }))
  keyset(`${destination}-adopted-17`, '9.3', '17 adopted sources', overfull, {
    ...refused,
    writer: destination === 'host' ? 'malformed' : 'policy',
  })
}
const few = revised({ ...contents, additional: { ...complete, revoked } })
for (const destination of ['host', 'storage'] as const) {
  const overfull = assembled(few, destination, ({ sealed }) => {
    const [start, end] = [sealed.length - 2 - 255 * 16 - 2, sealed.length - 2]
    return { sealed: concat(patched(sealed, start, u16(256)).subarray(0, end), sample(16), u16(0)) }
  })
  keyset(`${destination}-revoked-256`, '9.3', '256 revoked shares', overfull, refused)
}
keyset(
  'host-lists-apart',
  '9.3',
  'an adopted source in the plain section alone',
  assembled(full, 'host', { sealed: encodeSections({ ...full, adopted: [] }, 'host').sealed }),
  { ...refused, writer: 'ok' },
)
keyset(
  'host-lists-apart-sealed',
  '9.3',
  'an adopted source in the sealed section alone',
  assembled(full, 'host', { plain: encodeSections({ ...full, adopted: [] }, 'host').plain }),
  { ...refused, writer: 'ok' },
)
keyset(
  'definition-plain',
  '9.3',
  'a plain section in a definition',
  assembled(full, 'definition', { plain: u8(0) }),
  refused,
)
keyset(
  'definition-no-card-key',
  '9.3',
  'a definition as version 0.2 wrote them: without the card signing public key',
  assembled(full, 'definition', ({ sealed }) => ({
    sealed: concat(sealed.subarray(0, BEFORE_CARD_KEY), sealed.subarray(BEFORE_CARD_KEY + 32)),
  })),
  refused,
)
keyset(
  'host-plain-longer',
  '1.1',
  'a byte more in the plain section',
  assembled(full, 'host', ({ plain }) => ({ plain: concat(plain, new Uint8Array(1)) })),
  { ...refused, writer: 'malformed' },
)
// The card signing public key is after the block pair, the block salt, the dedup key and the source signing seed.
const otherKey = section('plain', 1601 + 96, signingPairOf(new SecretKey('signing', sample(32, 31))).publicKey)
keyset(
  'host-card-key-apart',
  '9.3',
  'the card signing public key of another pair, under a right mac: found at the first use of the card',
  assembled(full, 'host', otherKey),
  { writer: 'ok', card: 'authentication-failed' },
)
keyset(
  'host-card-key-swapped',
  '9.2',
  'another card signing public key in the plain section, put there by somebody without the master key',
  resummed(flipped(fullHost, 48 + 8 + 16 + 2 + 48 + 3 + 108 + 4 + 1601 + 96)),
  { ...refused, writer: 'ok' },
)
const foreignSharing = { ...complete.sharing, publicHalves: full.blockPair.publicHalves }
keyset(
  'storage-sharing-apart',
  '9.3',
  'a sharing pair whose halves do not match: found at the first use of the card',
  exportFor('storage', { ...full, additional: { ...complete, sharing: foreignSharing } }),
  { card: 'authentication-failed' },
)

// Faults under a right mac that one check alone can reject. Definitions, because they are small, where they have the field.
const P_OF = {
  shares: 1697 + 64 + 64 + 1697 + 64 + 2 + 1697 + 2,
  retired: 1697 + 64 + 64 + 1697 + 64 + 2,
  sharing: 1697 + 128,
}
function altered(
  id: string,
  comment: string,
  destination: Destination,
  change: Partial<Parts> | ((parts: Parts) => Partial<Parts>),
  more: Partial<KeysetVector> = refused,
  of: KeysetContents = destination === 'definition' ? full : contents,
): void {
  keyset(id, '9.3', comment, assembled(of, destination, change), more)
}
const one = Uint8Array.of(1)
const third = Uint8Array.of(3)
const longerSealed = ({ sealed }: Parts) => ({ sealed: concat(sealed, new Uint8Array(1)) })
altered('definition-longer', 'a byte more in the sealed section', 'definition', longerSealed)
const sourcePublic = signingPairOf(new SecretKey('signing', sample(32, 31))).publicKey
altered(
  'source-signing-apart',
  'the source signing public key of another pair',
  'definition',
  section('sealed', 1697 + 96, sourcePublic),
)
altered(
  'block-x25519-apart',
  'the pk_x of another pair',
  'definition',
  section('sealed', 1, complete.sharing.publicHalves.x25519),
)
altered(
  'block-ml-kem-apart',
  'the pk_m of another pair',
  'definition',
  section('sealed', 33, complete.sharing.publicHalves.mlKem1024),
)
altered('definition-minimum-3', 'a minimum of 3', 'definition', section('sealed', 0, third))
altered(
  'storage-sharing-minimum-3',
  'a minimum of 3 in the sharing pair',
  'storage',
  section('sealed', P_OF.sharing, third),
)
altered(
  'storage-sharing-minimum-0',
  'a minimum of 0 in the sharing pair',
  'storage',
  section('sealed', P_OF.sharing, Uint8Array.of(0)),
  {
    card: 'ok',
  },
)
altered(
  'storage-retired-minimum-3',
  'a minimum of 3 in a retired pair',
  'storage',
  section('sealed', P_OF.retired, third),
)
altered('storage-share-minimum-3', 'a minimum of 3 in a share', 'storage', section('sealed', P_OF.shares + 16, third))
altered(
  'storage-share-minimum-0',
  'a minimum of 0 in a share',
  'storage',
  section('sealed', P_OF.shares + 16, Uint8Array.of(0)),
  {},
)
altered(
  'storage-share-flag-2',
  'a flag of 2 before the private halves of a share',
  'storage',
  section('sealed', P_OF.shares + 16 + 1601, Uint8Array.of(2)),
)
altered(
  'storage-share-flag-2-direct',
  'a flag of 2 and no private halves in a direct share',
  'storage',
  section('sealed', P_OF.shares + 16 + 1601 + 97 + 16 + 1601, Uint8Array.of(2)),
)
altered(
  'storage-card-apart',
  'the card signing public key of another pair: found at the first use of the card',
  'storage',
  section('sealed', P_OF.sharing + 1697 + 32, sourcePublic),
  {
    card: 'authentication-failed',
  },
)
altered(
  'storage-retired-apart',
  'the pk_m of another pair in a retired pair: found at its first use',
  'storage',
  section('sealed', P_OF.retired + 33, complete.sharing.publicHalves.mlKem1024),
  {},
)
const [fromOther] = full.adopted
const otherKeys = fromOther!.keys!
const halves = { ...otherKeys.sharing.publicHalves, x25519: complete.sharing.publicHalves.x25519 }
const apartSource = { ...fromOther!, keys: { ...otherKeys, sharing: { ...otherKeys.sharing, publicHalves: halves } } }
const smaller = { ...complete, retired: [], shares: [], revoked: [] }
keyset(
  'storage-adopted-apart',
  '9.3',
  'the pk_x of another pair in the sharing pair of an adopted source: found at its first use',
  exportFor('storage', revised({ ...full, adopted: [apartSource], additional: smaller })),
  { card: 'ok' },
)
const apartLists = (more: Partial<typeof complete>) => ({
  sealed: encodeSections({ ...contents, additional: { ...complete, revoked: [], ...more } }, 'host').sealed,
})
altered('host-retired-apart', 'one more retired pair in the plain section', 'host', apartLists({ retired: [] }), {
  ...refused,
  writer: 'ok',
})
altered('host-shares-apart', 'two more shares in the plain section', 'host', apartLists({ shares: [] }), {
  ...refused,
  writer: 'ok',
})
const [aSource] = full.adopted
const [aShare] = complete.shares
const twiceOf = revised({
  ...full,
  adopted: [
    aSource!,
    { ...aSource!, blockSalt: new SecretKey('block-salt', sample(32, 41)) },
    { ...aSource!, id: full.id },
  ],
  additional: {
    ...complete,
    retired: [],
    shares: [aShare!, { ...aShare!, privateHalves: undefined }],
    revoked: [sample(16, 42), sample(16, 42)],
  },
})
keyset(
  'storage-ids-twice',
  '9.3',
  'ids twice in each list, and its own among the adopted ones',
  exportFor('storage', twiceOf),
  { card: 'ok' },
)
keyset('definition-ids-twice', '9.3', 'the same keyset', exportFor('definition', twiceOf))

// The frame.
const defined = new Uint8Array(fullDefinition)
const framed = (offset: number, bytes: Uint8Array) => resummed(patched(defined, offset, bytes))
const afterHistory = fieldAt(defined, 'destination')
keyset('destination-0', '9.2', 'destination 0', framed(afterHistory, Uint8Array.of(0)), unsupported)
keyset('dedup-0', '9.2', 'dedup mode 0', framed(afterHistory + 2, Uint8Array.of(0)), unsupported)
keyset(
  'order-magic-version',
  '9.2',
  'kSTR, version 2 of the format',
  resummed(patched(patched(defined, 0, [0x6b]), 4, [2])),
  malformed,
)
const alone = (length: number, type: number) => summed(header(type, 0, { generation: 1 }).subarray(0, length))
keyset('header-alone', '9.2', '56 bytes: a header and its checksum', alone(48, 13), malformed)
keyset('header-alone-type', '9.2', 'the same, of type 12', alone(48, 12), unsupported)
keyset('header-cut-type', '9.2', '55 bytes, of type 12', alone(47, 12), malformed)
keyset(
  'order-type-fields',
  '9.2',
  'type 12, and destination 4',
  resummed(patched(patched(defined, 5, [12]), afterHistory, [4])),
  unsupported,
)
keyset(
  'order-version-destination',
  '9.2',
  'keyset version 0, and destination 4',
  resummed(patched(framed(48, u64(0)), afterHistory, [4])),
  malformed,
)

// Argon2 costs.
const argonAt = fieldAt(defined, 'argon2')
const withCosts = (t: number, m: number, p: number) => framed(argonAt, concat(u32(t), u32(m), u32(p)))
const refusedCosts = (id: string, comment: string, t: number, m: number, p: number, more: Partial<KeysetVector> = {}) =>
  keyset(`argon2-${id}`, '1.6', comment, withCosts(t, m, p), { ...tooMuch, ...more })
refusedCosts('no-iterations', 'no iterations', 0, 16, 2)
refusedCosts('no-lanes', 'no lanes', 1, 16, 0)
refusedCosts('17-lanes', '17 lanes, with 8 KiB for each', 1, 136, 17)
refusedCosts('work', '5 iterations over 838,861 KiB: 1 KiB more than 4 GiB in all', 5, 838_861, 1)
const underCosts = async (iterations: number, memoryKiB: number, lanes: number) => {
  const costs = { iterations, memoryKiB, lanes }
  const [salt, nonce] = [sample(32, 11), sample(32, 12)]
  const own = new SecretKey('master', xor(await hashPassword(PASSWORD, salt, costs, {}, 32), nonce))
  const verify = derive(own, new Uint8Array(0), 'master-verify', [], 32)
  const of = { ...bare, argon2: { ...costs, salt, nonce, verify } }
  return encodeKeyset(
    withRandomness([RANDOM], () => withRevision({ ...of, history: [] }, own)),
    own,
    'definition',
  )
}
keyset('argon2-64-iterations', '1.6', '64 iterations', await underCosts(64, 8, 1))
keyset('argon2-16-lanes', '1.6', '16 lanes, with 8 KiB for each', await underCosts(1, 128, 16))
refusedCosts('order-password-costs', 'no password, and 65 iterations', 65, 16, 2, {
  password: '',
  expect: 'invalid-text',
})
refusedCosts('order-costs-password', '65 iterations, and another password', 65, 16, 2, { password: 'x' })
keyset(
  'order-password-mac',
  '9.2',
  'another password, and one bit of the mac',
  resummed(flipped(defined, defined.length - 9)),
  {
    ...{ password: 'x', expect: 'wrong-password' },
  },
)

// The plain section, as a writer reads it.
const bareHost = new Uint8Array(exportFor('host', bare))
const plainAt = fieldAt(bareHost, 'plain')
const written = (
  id: string,
  comment: string,
  offset: number,
  bytes: Uint8Array,
  writer: KeysetVector['writer'],
  of = bareHost,
) => keyset(`host-${id}`, '9.2', comment, resummed(patched(of, offset, bytes)), { ...refused, writer: writer! })
const modulus = Uint8Array.of(0xff, 0xff, 0xff)
written('low-order', 'a pk_x of low order in the block pair', plainAt + 1, new Uint8Array(32), 'malformed')
written('modulus', 'a pk_m of the block pair that fails the modulus check', plainAt + 33, modulus, 'malformed')
written(
  'modulus-3329',
  'the first coefficient of it is 3,329',
  plainAt + 33,
  Uint8Array.of(0x01, 0x0d | (full.blockPair.publicHalves.mlKem1024[1]! & 0xf0)),
  'malformed',
)
written('minimum-3', 'a minimum of 3', plainAt, third, 'malformed')
written(
  'encryption-0',
  'an encryption of 0, which nobody asked for',
  fieldAt(bareHost, 'encryption'),
  Uint8Array.of(0),
  'policy',
)
written(
  'encryption-1',
  'an encryption below the minimum of the block pair',
  fieldAt(bareHost, 'encryption'),
  one,
  'policy',
)
const weakDefault = patched(bareHost, fieldAt(bareHost, 'encryption'), one)
written(
  'order-encryption-low-order',
  'the same, and a pk_x of low order',
  plainAt + 1,
  new Uint8Array(32),
  'policy',
  weakDefault,
)
const noDefault = patched(bareHost, fieldAt(bareHost, 'encryption'), [0])
written('order-encryption-minimum-3', 'an encryption of 0, and a minimum of 3', plainAt, third, 'policy', noDefault)
written(
  'order-encryption-1-minimum-3',
  'an encryption of 1, and a minimum of 3',
  plainAt,
  third,
  'malformed',
  weakDefault,
)
const listed = plainAt + 1601 + 96 + 32 + 2
written('retired-minimum-3', 'a minimum of 3 in a retired pair', listed, third, 'malformed', host)
written('retired-modulus', 'a pk_m of a retired pair that fails the modulus check', listed + 33, modulus, 'ok', host)
written('share-minimum-3', 'a minimum of 3 in a share', listed + 1601 + 2 + 16, third, 'malformed', host)
written('share-low-order', 'a pk_x of low order in a share', listed + 1601 + 2 + 17, new Uint8Array(32), 'ok', host)

// Floors.
function floor(
  id: string,
  comment: string,
  bytes: Uint8Array,
  text: string,
  expect: KeysetVector['expect'] = 'ok',
  more: Partial<KeysetVector> = {},
): void {
  keyset(`floor-${id}`, '9.2', comment, bytes, { floor: text, expect, ...more })
}
const at = (version: number, id: Revision['id'] = low) => revisionText({ version, id })
const entryAt = (index: number) => revisionText(many[index]!)
floor('own', 'the keyset itself', fullDefinition, at(7, full.revision))
floor('first', 'the newest in the history', fullDefinition, revisionText(past[0]))
floor('last', 'the oldest in the history', fullDefinition, revisionText(past[1]))
floor('rollback', 'a later version', fullDefinition, at(8), 'rollback')
floor('forked-own-version', 'another revision of the same version', fullDefinition, at(7), 'forked')
floor('forked-history', 'another revision of a version in the history', fullDefinition, at(6), 'forked')
floor('forked-older', 'a version before a short history', fullDefinition, at(1), 'forked')
floor('forked-no-history', 'a version before, and no history', host, at(1), 'forked')
floor('long-own', 'the keyset itself', longDefinition, at(300, old.revision))
floor('long-last', 'the oldest of 255', longDefinition, entryAt(254))
floor('long-older', 'a version before 255 others: only versions are compared', longDefinition, at(44))
floor('long-oldest-version', 'another revision of the version of the oldest', longDefinition, at(45))
floor('long-253rd', 'another revision of the version of the 253rd', longDefinition, at(47))
floor('long-forked', 'another revision of the version after the 253rd', longDefinition, at(48), 'forked')
floor('long-forked-own-version', 'another revision of the same version', longDefinition, at(300), 'forked')
floor('long-rollback', 'a later version', longDefinition, at(301), 'rollback')
floor('before-password', 'a later version, and a wrong password', fullDefinition, at(8), 'rollback', { password: 'x' })
floor('forked-before-password', 'another branch, and no password', fullDefinition, at(7), 'forked', { password: '' })
floor(
  'other-version',
  'the revision of the keyset, with another version',
  fullDefinition,
  at(6, full.revision),
  'forked',
)
const shorterHistory = assembled(old, 'definition', { history: entries(old.history.slice(0, 254)) })
floor('254', 'a version before 254 others: the history reaches so far', shorterHistory, at(44), 'forked')
floor('after-fields', 'a later version, and destination 4', resummed(patched(host, 74, [4])), at(8), 'unsupported')

append('keyset.json', keysets)

// The contents that a revision is made from: those of the frozen exports.
const revisions: RevisionVector[] = []
async function revision(keyset: string, comment: string, bytes: Uint8Array): Promise<void> {
  const parsed = parseKeyset(bytes)
  // A frozen export may have another master key than this file makes now.
  const master = await openMaster(PASSWORD, parsed.argon2, {})
  const of = openKeyset(parsed, master)
  const { version, revision: id, encryption, dedup, argon2 } = of
  const before = [u64(version), entries(of.history), Uint8Array.of(encryption, dedup), encode(argon2Record, argon2)]
  const stated = concat(...before, encodeSections(of, 'storage').sealed)
  const made = withRandomness([RANDOM], () => createRevision(master, stated))
  if (hex(made) !== hex(id)) throw new Error(`${keyset}: the keyset has another revision`)
  revisions.push({
    ...{ id: keyset, section: '9.2', comment, keyset, master: withBytes(master, (key) => hex(key)) },
    ...{ random: hex(RANDOM), contents: hex(stated), revision: revisionText({ version, id }), expect: 'ok' },
  })
}
await revision('source-storage', 'no history, nothing adopted, nothing revoked', storage)
await revision('storage-full', 'every list has entries', fullStorage)
append('revision.json', revisions)
