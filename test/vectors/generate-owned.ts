// Adds the vectors of the records and packs of vaults and scopes (SPEC §7, §10.6) below to their files, unless they are
// there already. Run `npm run vectors`.
import { concat, domain, u64 } from '../../src/core/bytes.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { hmacSha256, sha256 } from '../../src/primitives/hash.ts'
import { derive } from '../../src/primitives/kdf.ts'
import { encodeClose, encodeSealOff } from '../../src/state/marker.ts'
import { logIdOf, NO_HASH } from '../../src/state/record-layout.ts'
import { flipped, hex, patched, sample, withRandomness } from '../fixtures.ts'
import { append } from './append.ts'
import { keysFor, LOG, logId, marked, recordVectors, sealed } from './make-record.ts'
import { handleOf } from './owners.ts'
import type { OwnedPackVector, OwnedRecordVector, OwnerVector } from './vectors.ts'

const names = { realm: 'com.example.backup', account: 'acme' }
const owners = {
  vault: { kind: 'vault', id: hex(new Uint8Array(16).fill(0xb1)), key: hex(sample(32, 61)) },
  'aes-128': { kind: 'private', ...names, type: 1, key: hex(sample(16, 62)) },
  'aes-192': { kind: 'private', ...names, type: 2, key: hex(sample(24, 63)) },
  'aes-256': { kind: 'private', ...names, type: 3, key: hex(sample(32, 64)) },
  account: { kind: 'account', ...names, type: 1, key: hex(sample(16, 65)) },
} as const satisfies Record<string, OwnerVector>
const open = { kind: 'public', ...names } as const
const des = { kind: 'private', ...names, type: 4, key: hex(sample(16, 66)) } as const

const CONTENT = sample(100)
const wrong = { expect: 'authentication-failed' } as const
const malformed = { expect: 'malformed' } as const
const unsupported = { expect: 'unsupported' } as const
const unknown = { expect: 'key-not-found' } as const
const taken = { count: 4, last: { number: 4, id: sample(16, 3) } }
const closing = encodeClose({
  former: [
    { epoch: 0, ...taken, leftOut: [{ first: 1, last: 2 }] },
    { epoch: 1, ...taken, leftOut: [{ first: 3, last: 3 }] },
  ],
  last: taken.last,
})
const sealing = encodeSealOff({ epoch: 3, sequence: 2 })
const says = { content: hex(closing) }
const leads = { content: hex(sealing) }

// ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const all: OwnedRecordVector[] = []
for (const [name, owner] of Object.entries(owners)) {
  const { records, record } = recordVectors({ owner: owner }, `${name}-`)
  const handle = handleOf(owner)
  const keys = keysFor(handle)
  const [ofId, ofNonce] = [sample(32, 71), sample(32, 72)] as const
  const { record: one } = await withRandomness([ofId, ofNonce], () =>
    handle.sealRecord(CONTENT, { log: LOG, after: 'start' }),
  )
  record('first', 'the start of a log; the random bytes of its id and of n', one, 'start', {
    random: [hex(ofId), hex(ofNonce)],
  })
  const place = { sequence: 2, previous: sha256(one) }
  const two = await sealed(keys, new Uint8Array(0), place)
  const close = marked(keys, 'close', closing, place)
  const sealOff = marked(keys, 'seal-off', sealing, place)
  record('second', 'no bytes at all, behind it', two, one, { content: '' })
  record('close', 'three numbers were left out', close, one, says)
  record('seal-off', 'epoch 3 follows', sealOff, one, leads)
  record('other-log', 'of another log', await sealed(keys, CONTENT, {}, logIdOf('other')), 'start', wrong)
  record('flag-missing', 'no flag 8', remacked(patched(one, 15, [0]), owner), null, unsupported)
  record('tag', 'one bit of the tag, the MAC made right', remacked(flipped(one, one.length - 33), owner), null, wrong)
  record('mac', 'one bit of the MAC', flipped(one, one.length - 1), null, wrong)
  record('close-mac', 'one bit of the MAC of a close', flipped(close, close.length - 1), null, wrong)
  all.push(...records)
}

/** Makes the MAC of an altered record right, as somebody could who has the key. */
function remacked(record: Uint8Array, owner: OwnerVector, log: Uint8Array = logId): Uint8Array {
  if (owner.kind === 'public') throw new Error('the scope public has no key')
  const { ownerId } = keysFor(handleOf(owner))
  const key = new SecretKey('client', Uint8Array.from(Buffer.from(owner.key, 'hex')))
  const mac = new SecretKey('mac', derive(key, new Uint8Array(0), 'record-mac', [ownerId], 32))
  const before = record.subarray(0, -32)
  return concat(before, hmacSha256(mac, domain('sign/record'), log, before))
}

for (const name of ['vault', 'aes-192'] as const) {
  const owner = owners[name]
  const { records, record } = recordVectors({ owner: owner }, `${name}-`)
  const keys = keysFor(handleOf(owner))
  const one = await sealed(keys, CONTENT)
  const place = { sequence: 2, previous: sha256(one) }
  const two = await sealed(keys, CONTENT, place)
  const close = marked(keys, 'close', closing, place)
  const sealOff = marked(keys, 'seal-off', sealing, place)
  const altered = (at: number, bytes: ArrayLike<number>) => remacked(patched(one, at, bytes), owner)
  const alteredOff = (at: number, bytes: ArrayLike<number>) => remacked(patched(sealOff, at, bytes), owner)

  record('unchecked', 'the second one, without a look at what comes before', two, null)
  record('repeated', 'the first one behind itself', one, one, wrong)
  record('not-the-start', 'the second one at the start', two, 'start', wrong)
  const gap = await sealed(keys, CONTENT, { ...place, number: 3 })
  record('number-gap', 'a number is left out', gap, one, wrong)
  const lost = { ...place, previous: NO_HASH, isAfterDamage: true }
  record('after-damage', 'flag 4: what lay before it could not be read', await sealed(keys, CONTENT, lost), one)
  const behind = await sealed(keys, CONTENT, { sequence: 3, number: 2, previous: sha256(sealOff) })
  record('behind-seal-off', 'behind a seal-off', behind, sealOff, wrong)
  record('copied', 'a copy in an epoch', await sealed(keys, CONTENT, { epoch: 2, sequence: 1, number: 9 }), 'start')

  record('suite-keyset', 'suite 0x0101', altered(6, [1, 1]), null, wrong)
  record('suite-none', 'suite 0x0000 with content', altered(6, [0, 0]), null, unsupported)
  record('suite-none-close', 'suite 0x0000 in a long close', remacked(patched(close, 6, [0, 0]), owner), null, wrong)
  const other = name === 'vault' ? [3, 0x13] : [2, 2]
  record('suite-other', 'the suite of another key', altered(6, other), null, wrong)
  record('suite-block', 'the suite of a block', altered(6, name === 'vault' ? [2, 1] : [3, 2]), null, unsupported)
  record('type', 'type 4', altered(5, [4]), null, unsupported)
  record('flags-both', 'flags 1 and 2', alteredOff(15, [11]), null, unsupported)
  record('flag-unknown', 'flag 16', altered(15, [24]), null, unsupported)
  record(
    'flag-close',
    'flag 1 in a record with content: it is a close with the bytes of the content',
    altered(15, [9]),
    null,
    {
      ...{ content: hex(one.subarray(112, -32)) },
    },
  )
  record('sequence-zero', 'sequence 0', altered(48, u64(0)), null, malformed)
  record('sequence-huge', 'sequence 2⁵³', altered(48, [0, 32, 0, 0, 0, 0, 0, 0]), null, malformed)
  record('number-zero', 'number 0', altered(56, u64(0)), null, malformed)
  record('number-huge', 'number 2⁵³', altered(56, [0, 32, 0, 0, 0, 0, 0, 0]), null, malformed)
  record('owner', 'another owner id, the MAC made right', altered(32, sample(16)), null, unknown)
  record('key-id', 'another key id, the MAC made right', altered(16, sample(16)), null, wrong)
  record(
    'close-key-id',
    'a close without a key id',
    remacked(patched(close, 16, new Uint8Array(16)), owner),
    null,
    wrong,
  )
  const fields = { epoch: 11, sequence: 54, number: 62, id: 64, previous: 80, n: 112, c: 144, ct: 176 }
  for (const [field, at] of Object.entries(fields)) record(`altered-${field}`, 'one bit', flipped(one, at), null, wrong)
  for (const [field, at] of Object.entries({ n: 112, c: 144, ct: 176 }))
    record(`altered-${field}-signed`, 'one bit, the MAC made right', remacked(flipped(one, at), owner), null, wrong)
  record('altered-close', 'one bit of what a close says', flipped(close, 120), null, wrong)
  record('cut', 'a byte short of the shortest', one.subarray(0, 223), null, malformed)
  record('cut-seal-off', 'a byte short of a MAC', sealOff.subarray(0, 143), null, malformed)
  record('cut-by-one', 'the last byte is gone', one.subarray(0, -1), null, wrong)
  record('long', 'a byte more', concat(one, new Uint8Array(1)), null, wrong)
  all.push(...records)
}

const { records, record } = recordVectors<{ owner: OwnerVector }>({ owner: open })
const spare = await sealed(keysFor(handleOf(owners['aes-128'])), CONTENT)
record('public', 'the scope public has no records', spare, 'start', { expect: 'policy' })
record('des', 'a scope under DES-56 has no records', spare, 'start', { owner: des, expect: 'policy' })
const ofVault = await sealed(keysFor(handleOf(owners.vault)), CONTENT)
record('vault-in-scope', 'of a vault, in a scope', ofVault, 'start', { owner: owners['aes-256'], ...unknown })
record('scope-in-vault', 'of a scope, in a vault', spare, 'start', { owner: owners.vault, ...unknown })
const elsewhere = { ...owners['aes-128'], account: 'acme2' }
record('other-account', 'the same key, in another account', spare, 'start', { owner: elsewhere, ...unknown })
const asAccount = { ...owners['aes-128'], kind: 'account' } as const
record('other-scope', 'the same key, in the scope account', spare, 'start', { owner: asAccount, ...unknown })

append('owned-record.json', [...all, ...records])

// ── packs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const packs: OwnedPackVector[] = []
async function pack(id: string, comment: string, owner: OwnerVector, files: readonly Uint8Array[]): Promise<void> {
  const { content, members } = await handleOf(owner).pack(files)
  const made = { owner, files: files.map(hex), pack: hex(content), members }
  packs.push({ id, section: '10.6', comment, ...made, expect: 'ok' })
}
const files = [sample(100), new Uint8Array(0), sample(32, 2), sample(100)]
for (const [name, owner] of Object.entries(owners)) await pack(name, 'form k; two files are equal', owner, files)
await pack('public', 'form g', open, files)
await pack('des', 'form k, in a scope under DES-56', des, files)
await pack('none', 'no files', owners.vault, [])
append('owned-pack.json', packs)
