// The objects in the table of SPEC, appendix A, each taken from a frozen vector, and how long it would be at least. Nothing
// here comes from src/.
import { vectorIn } from './spec-appendix.ts'
import * as client from './spec-reader-client.ts'
import { openRegistration, readEscrow } from './spec-reader-custody.ts'
import { parseDelegation } from './spec-reader-fleet.ts'
import { parseProfile } from './spec-reader-profile.ts'
import { parseRecord } from './spec-reader-record.ts'
import { parseSlots } from './spec-reader-recovery.ts'
import { parseKeyring } from './spec-reader-vault.ts'
import { parseKeyset } from './spec-reader.ts'

/** An object, and what the table says of its size. */
export interface Sized {
  bytes: Buffer
  size: string
}

const unhex = (text: string | undefined): Buffer => Buffer.from(text!, 'hex')
const length = (text: string | undefined): number => Buffer.byteLength(text!)
const written = (size: number): string => size.toLocaleString('en-US')
const bytesIn = (file: string, id: string, field: string): Buffer => unhex(vectorIn(file, id)[field])

const exact = (bytes: Buffer): Sized => ({ bytes, size: written(bytes.length) })
/** An object that is longer by this than the shortest. */
const least = (bytes: Buffer, longer = 0): Sized => ({ bytes, size: `≥ ${written(bytes.length - longer)}` })
/** An object whose plaintext has this length. */
const plus = (bytes: Buffer, P: number): Sized => ({ bytes, size: `${written(bytes.length - P)} + P` })

/** The envelope of a block whose ciphertext is longer by `overhead` than the content. */
function envelope(file: string, id: string, overhead: number): Sized {
  const { block, content } = vectorIn(file, id)
  const bytes = unhex(block)
  return exact(bytes.subarray(0, bytes.length - unhex(content).length - overhead))
}
function record(file: string, id: string): Sized {
  return plus(bytesIn(file, id, 'record'), bytesIn(file, id, 'content').length)
}
/** By how much the names of a vector are longer than one byte each. */
function namesOf(file: string, id: string, ...fields: string[]): number {
  const vector = vectorIn(file, id)
  return fields.reduce((sum, field) => sum + length(vector[field]) - 1, 0)
}

const profile = bytesIn('profile.json', 'zero-trust', 'profile')
const slot = parseProfile(profile).vaults[0]!.slots[0]!.object.subarray(1) // behind `due`
const escrow = bytesIn('escrow.json', 'alone', 'bytes')
const escrowNames = namesOf('escrow.json', 'alone', 'realm', 'account', 'client')
const AES_256_AND_128 = 16 // by how much the private key in the vectors is longer than the shortest
const escrowLonger = 2 * escrowNames + AES_256_AND_128
const wrapIn = escrow.subarray(escrow.lastIndexOf('KSTR'), -2 - 64)
const definition = bytesIn('keyset.json', 'source-definition', 'export')
const storage = bytesIn('keyset.json', 'source-storage', 'export')
const login = bytesIn('device.json', 'login', 'bytes')
const LOGIN = { realm: 'com.example.backup', user: 'user-4711' } // in that vector
const loginNames = length(LOGIN.realm) + length(LOGIN.user)
const protectedKey = bytesIn('device.json', 'key-protected', 'bytes')
const challenge = bytesIn('proof.json', 'challenge', 'bytes')
const challengeNames = namesOf('proof.json', 'challenge', 'realm', 'server')
const enrolment = bytesIn('proof.json', 'enrolment', 'bytes')
const claimed = client.readEnrolment(enrolment, 'com.example.backup')
const proof = bytesIn('proof.json', 'proof-private', 'bytes')
const proven = client.readProof(proof)
const clientNames = ({ account, client: name }: { account: string; client: string }) =>
  length(account) + length(name) - 2
const slots = unhex((vectorIn('slots.json', 'code') as unknown as { slots: string[] }).slots[0])
const listed = parseSlots(slots).slots[0]!
const delegation = bytesIn('delegation.json', 'none', 'delegation')
const [unarmed, armed] = ['unarmed', 'armed'].map((id) => bytesIn('registration.json', id, 'bytes')) as [Buffer, Buffer]
/** The escrow in these vectors has both keys. */
const both = bytesIn('escrow.json', 'both', 'bytes')
const fileLonger = namesOf('registration.json', 'unarmed', 'server') + both.length - (escrow.length - escrowLonger)

/** By type, suite and the name in the table. */
export const sized: Readonly<Record<string, Sized>> = {
  '1 0x0401 data key wrap, in a keyring': exact(
    parseKeyring(bytesIn('keyring.json', 'one', 'keyring')).wraps[0]!.object,
  ),
  '2 0x0401 slot, in a profile': exact(slot),
  '3 0x0402 recovery slot, in a profile': exact(bytesIn('recovery.json', 'good', 'slot')),
  '4 0x0000 block envelope of a keyset, mode 4': envelope('block.json', 'none', 0),
  '4 0x0000 block envelope, scope `public`': envelope('client-block.json', 'public', 0),
  '4 0x0101 block envelope of a keyset or share': envelope('block.json', 'x25519-scoped', 48),
  '4 0x0102 block envelope of a keyset or share': envelope('block.json', 'hybrid-off', 80),
  '4 0x0201 block envelope of a vault': envelope('vault-block.json', '100-bytes', 0),
  '4 0x0301 block envelope of a scope': envelope('client-block.json', 'private-1', 16),
  '4 0x0302 block envelope of a scope': envelope('client-block.json', 'private-2', 16),
  '4 0x0303 block envelope of a scope': envelope('client-block.json', 'private-3', 16),
  '4 0x0304 block envelope under DES-56': envelope('legacy-block.json', 'bytes-8', 8),
  '5 0x0000 close or seal-off of a keyset or share': record('record.json', 'close'),
  '5 0x0101 content record of a keyset or share': record('shared-record.json', 'own-x25519'),
  '5 0x0102 content record of a keyset or share': record('record.json', 'first'),
  '5 0x0202 content record of a vault': record('owned-record.json', 'vault-first'),
  '5 0x0202 close or seal-off of a vault': record('owned-record.json', 'vault-close'),
  '5 0x0311 content record of a scope': record('owned-record.json', 'aes-128-first'),
  '5 0x0311 close or seal-off of a scope': record('owned-record.json', 'aes-128-close'),
  '5 0x0312 content record of a scope': record('owned-record.json', 'aes-192-first'),
  '5 0x0312 close or seal-off of a scope': record('owned-record.json', 'aes-192-seal-off'),
  '5 0x0313 content record of a scope': record('owned-record.json', 'aes-256-first'),
  '5 0x0313 close or seal-off of a scope': record('owned-record.json', 'aes-256-close'),
  '6 0x0402 invite to a direct share': exact(bytesIn('invite.json', 'straight', 'invite')),
  '6 0x0402 invite to a share with its own pair': exact(bytesIn('invite.json', 'own', 'invite')),
  // P of a definition: PAIR, two secrets, SIGNING, a public key and an empty list (§9.3).
  '7 0x0401 sealed section, in a keyset': plus(parseKeyset(definition).sealed, 1697 + 32 + 32 + 64 + 32 + 2),
  '7 0x0401 sealed section, in a saved handle': plus(login.subarray(53, -8), 4 + loginNames + 24 + 24),
  '8 0x0401 text value': least(bytesIn('device.json', 'text-empty', 'bytes')),
  '9 0x0000 escrow': least(escrow, escrowLonger),
  '9 0x0401 keys, in an escrow': least(wrapIn, escrowNames + AES_256_AND_128),
  '10 0x0000 registration, unarmed': least(unarmed, fileLonger),
  '10 0x0000 registration, armed': least(armed, fileLonger),
  '11 0x0000 keyring': least(bytesIn('keyring.json', 'one', 'keyring')),
  '12 0x0000 profile': least(bytesIn('profile.json', 'no-vaults', 'profile')),
  '13 0x0000 keyset, host': least(bytesIn('keyset.json', 'host-empty-lists', 'export')),
  '13 0x0000 keyset, definition': least(definition),
  '13 0x0000 keyset, storage': least(bytesIn('keyset.json', 'source-storage-empty-lists', 'export')),
  '14 0x0000 card': exact(bytesIn('card.json', 'good', 'card')),
  '15 0x0000 saved handle, login': least(login, loginNames - 2),
  '15 0x0000 saved handle, client': least(
    bytesIn('device.json', 'client-alone', 'bytes'),
    escrowNames + AES_256_AND_128, // the same names as in the escrow
  ),
  '15 0x0000 saved handle, keyset': least(
    bytesIn('device.json', 'keyset', 'bytes'),
    storage.length - definition.length, // a storage export is in it, and a definition may be
  ),
  '16 0x0000 device key, open': exact(bytesIn('device.json', 'key', 'bytes')),
  '16 0x0000 device key, under a passphrase': exact(protectedKey),
  '16 0x0401 the key, in a device key': exact(protectedKey.subarray(48 + 1 + 12 + 32, -8)),
  '17 0x0000 enrolment': least(
    enrolment,
    claimed.challenge.length -
      (challenge.length - challengeNames) +
      length('com.example.backup') -
      1 +
      clientNames(claimed),
  ),
  '18 0x0000 challenge': least(challenge, challengeNames),
  '19 0x0000 proof': least(proof, proven.challenge.length - (challenge.length - challengeNames) + clientNames(proven)),
  '20 0x0000 slot list': least(slots, listed.facts.length + listed.seal.length),
  '20 0x0402 M, in a slot list': exact(listed.seal),
  '21 0x0000 delegation': least(delegation),
  '21 0x0402 DELEGATED, in a delegation': least(parseDelegation(delegation).sealed),
  '22 0x0401 seed of the identity, in a profile': exact(profile.subarray(120, 280)),
}

const anyKey = Buffer.alloc(32)
/** Reads an object of a type that has a limit, with the second reader. */
export const readers: Readonly<Record<string, (bytes: Buffer) => unknown>> = {
  5: parseRecord,
  8: (bytes) => client.openText(bytes, { table: '', row: '', column: '', version: 1 }, anyKey),
  9: readEscrow,
  10: (bytes) => openRegistration(bytes, bytesIn('card.json', 'good', 'card'), { now: 0 }),
  11: parseKeyring,
  12: parseProfile,
  13: parseKeyset,
  15: (bytes) => client.openSaved(bytes, 1, anyKey),
  16: (bytes) => client.openDeviceKey(bytes, undefined),
  17: (bytes) => client.readEnrolment(bytes, 'com.example.backup'),
  18: (bytes) => client.readChallenge(bytes, 'com.example.backup', 'storage-1'),
  19: client.readProof,
  20: parseSlots,
  21: parseDelegation,
}
