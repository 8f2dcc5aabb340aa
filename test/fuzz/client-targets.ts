// The readers of a client's objects: blocks, enrolments, challenges, proofs, escrows, registration files, saved
// handles.
import { createHmac } from 'node:crypto'
import { deriveLogin, openSavedLogin } from '../../src/vault.ts'
import {
  armRegistration,
  checkTypedKey,
  deriveClient,
  openRegistration,
  openSavedClient,
  parseRegistration,
} from '../../src/client.ts'
import { ALICE, claimantOf, DESKTOP, makeKeyset, PASSWORD, resummed, sample, ofEveryScope } from '../fixtures.ts'
import { enrolIn, WatchedStore } from '../registry-fixtures.ts'
import { openSavedKeyset, parseCard } from '../../src/index.ts'
import { savedLogin } from '../../src/vault/layout.ts'
import {
  type ProvenKey,
  savedClient,
  storedChallenge,
  storedEnrolment,
  storedEscrow,
  storedProof,
  type StoredProof,
} from '../../src/client/layout.ts'
import { savedKeyset } from '../../src/keyset/layout.ts'
import { deriveLegacyClient } from '../../src/legacy.ts'
import { openKeyRegistry } from '../../src/server.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import { signedRegistration, storedRegistration } from '../../src/client/registration-file.ts'
import { SavedKind } from '../../src/device/saved.ts'
import { concat, domain, lengthPrefixed, u32, u64, u8, utf8 } from '../../src/core/bytes.ts'
import { decode, encode } from '../../src/core/codec.ts'
import { decodeName, parseName, parseUserName } from '../../src/core/text.ts'
import { storedDeviceKey, storedHandle } from '../../src/device/layout.ts'
import { NOBODY, ObjectType } from '../../src/core/header.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { fingerprintBytes, readCard } from '../../src/core/card.ts'
import { provenBy, signedPart } from '../../src/client/proof.ts'
import { unwrapSecret, wrapSecret } from '../../src/core/wrap.ts'
import { sign } from '../../src/primitives/signature.ts'
import { type SecretKey } from '../../src/core/secret.ts'
import { blockTarget, type Target } from './inputs.ts'

const names = { realm: 'tests', account: 'acme', name: 'desktop' }
const client = await deriveClient({
  ...names,
  platform: 'linux',
  privateKey: { type: 'AES-256', text: 'x' },
  accountKey: { type: 'AES-128', text: 'y' },
})
const legacy = await deriveLegacyClient({
  realm: 'tests',
  account: 'of-old',
  platform: 'windows',
  name: 'desktop',
  privateKey: { type: 'DES-56', text: 'x' },
  dangerouslyAllowDes: true,
})
const claimant = claimantOf(client)
/** A store that accepts the same challenge again and again, so that the registry checks everything. */
const store = new WatchedStore()
store.changed.once = async () => true
const here = { server: 'here' }
const acme = { account: 'acme' }
const registry = openKeyRegistry(store, { realm: 'tests', ...here, safeguarding: 'optional' })
await enrolIn(registry, client, here)
const registryKey = (await store.read('registry'))!.bytes

/**
 * Dates a challenge as far ahead as a server tolerates, almost, so that it is valid while the tests run, and corrects its
 * MAC, as somebody could who has the registry's key.
 */
function mendedChallenge(bytes: Uint8Array): Uint8Array {
  const body = { ...decode(storedChallenge, bytes, 'challenge'), date: Date.now() + 270_000 }
  const message = encode(storedChallenge, { ...body, mac: new Uint8Array(32) }).subarray(0, -32)
  return encode(storedChallenge, { ...body, mac: createHmac('sha256', registryKey).update(message).digest() })
}

const challenge = mendedChallenge(await registry.challenge())

/** Mends the challenge in an enrolment or a proof, if it is one. */
function challengeIn(bytes: Uint8Array): Uint8Array {
  try {
    return mendedChallenge(bytes)
  } catch {
    return bytes
  }
}

/** Signs a claim with the client's keys, even if the claim names other keys. */
const signatures = (messageFor: (key: ProvenKey) => Uint8Array): Uint8Array[] =>
  provenBy(claimant, (proven) => proven.map(({ seed, key }) => sign(seed, messageFor(key))))

function mendedEnrolment(bytes: Uint8Array): Uint8Array {
  const stored = decode(storedEnrolment, bytes, 'enrolment')
  const body = { ...stored, challenge: challengeIn(stored.challenge) }
  const message = signedPart('enrolment', encode(storedEnrolment, { ...body, signatures: [] }))
  return encode(storedEnrolment, { ...body, signatures: signatures(() => message) })
}

/** Returns the account that an enrolment names, if it can be the customer's, so that the registry goes on to its rules. */
function accountIn(bytes: Uint8Array): string {
  try {
    return decodeName(decode(storedEnrolment, bytes, 'enrolment').account) ?? 'acme'
  } catch {
    return 'acme'
  }
}

function mendedEscrow(bytes: Uint8Array): Uint8Array {
  const body = decode(storedEscrow, bytes, 'escrow')
  const message = signedPart('escrow', encode(storedEscrow, { ...body, signatures: [] }))
  return encode(storedEscrow, { ...body, signatures: signatures(() => message) })
}

function mendedProof(bytes: Uint8Array): Uint8Array {
  const stored: StoredProof = decode(storedProof, bytes, 'proof')
  const body = { ...stored, challenge: challengeIn(stored.challenge) }
  const { account, client: name } = body
  const messageFor = ({ role }: ProvenKey) =>
    concat(
      domain('sign/key-proof'),
      ...[body.challenge, account, name, utf8(role === 1 ? 'private' : 'account')].map(lengthPrefixed),
    )
  return encode(storedProof, { ...body, signatures: signatures(messageFor) })
}

const provider = await makeKeyset()
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, acme)
const expires = new Date(8.64e15)
const file = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, provider, { expires })
const armed = armRegistration(file, activationCode)
const signer = insidesOf(provider, 'provider').contents.additional!.cardSigning.seed
const card = provider.card()
const fingerprint = lengthPrefixed(fingerprintBytes(readCard(card.bytes)))

function mendedRegistration(bytes: Uint8Array): Uint8Array {
  const { headerBytes, server, expires, escrow, code } = decode(storedRegistration, bytes, 'registration')
  const body = { headerBytes, server, expires, escrow }
  const message = concat(domain('sign/registration'), fingerprint, encode(signedRegistration, body))
  return encode(storedRegistration, { ...body, signature: sign(signer, message), code })
}

const device = createDeviceKey()
const openKey = device.exportUnprotected()
const protectedKey = await device.export('passphrase')
const login = await deriveLogin(PASSWORD, ALICE)
const saved = [login.save(device), client.save(device), provider.save(device)]
const place = { table: 't', row: 'r', column: 'c', version: 1 }
const text = device.sealText('the password of a database', place)
const deviceSecret = decode(storedDeviceKey, openKey, 'device key').content.value as SecretKey<'device'>
const savedPlace = (kind: number) => ({ type: ObjectType.sealedSection, ownerId: NOBODY, context: u8(kind) })
const openSaved = [
  (bytes: Uint8Array) => openSavedLogin(bytes, device, ALICE).dispose(),
  (bytes: Uint8Array) => openSavedClient(bytes, device, DESKTOP).dispose(),
  (bytes: Uint8Array) => openSavedKeyset(bytes, device, { id: provider.id }).dispose(),
]

/** Returns the bytes sealed in a saved handle. */
const keysIn = (index: number): Uint8Array =>
  unwrapSecret(deviceSecret, decode(storedHandle, saved[index]!, 'handle').wrapped, 'handle', savedPlace(index + 1))
const savedAround = (bytes: Uint8Array, index: number): Uint8Array => {
  const stored = decode(storedHandle, saved[index]!, 'handle')
  const wrapped = wrapSecret(deviceSecret, bytes, savedPlace(index + 1))
  return resummed(encode(storedHandle, { ...stored, wrapped }))
}

const blocks = await Promise.all(
  (['private', 'account', 'public'] as const).map((scope) => client.scope(scope).seal(sample(40))),
)
const legacyBlock = await legacy.scope('private').seal(sample(40))

/** Puts layouts of different types into one list. */
const any = (...layouts: readonly unknown[]): never[] => layouts as never[]

/** Any bytes as text: as UTF-8, or else as UTF-16, which has lone surrogates too. */
export const textIn = (bytes: Uint8Array): string =>
  // The Buffer of browsers needs 18 times the memory of a long text, which would count against the reader.
  bytes.length % 2 === 0 || bytes.length > 100_000
    ? new TextDecoder().decode(bytes)
    : Buffer.from(bytes).toString('utf16le')

export const clientTargets: readonly Target[] = [
  ...blocks.map((block, index) => blockTarget(`client-block-${index}`, ofEveryScope(client), block)),
  blockTarget('legacy-block', legacy, legacyBlock),
  {
    name: 'enrolment',
    // Made when they are used: a challenge is valid for minutes.
    get seeds() {
      const fresh = mendedChallenge(challenge)
      return [client.enrolment(fresh, here), legacy.enrolment(fresh, here)]
    },
    layouts: any(storedEnrolment),
    mend: mendedEnrolment,
    reads: [(bytes) => registry.enrol(bytes, { account: accountIn(bytes) })],
  },
  {
    name: 'challenge',
    get seeds() {
      return [mendedChallenge(challenge)]
    },
    layouts: any(storedChallenge),
    mend: mendedChallenge,
    reads: [(bytes) => client.prove(bytes, here), (bytes) => client.enrolment(bytes, here)],
  },
  {
    name: 'proof',
    get seeds() {
      return [client.prove(mendedChallenge(challenge), here)]
    },
    layouts: any(storedProof),
    mend: mendedProof,
    reads: [(bytes) => registry.connect(bytes)],
  },
  {
    name: 'escrow',
    seeds: [escrow],
    layouts: any(storedEscrow),
    mend: mendedEscrow,
    reads: [(bytes) => registry.safeguard(bytes, acme)],
  },
  {
    name: 'registration',
    seeds: [file, armed],
    layouts: any(storedRegistration),
    mend: mendedRegistration,
    reads: [
      (bytes: Uint8Array) => parseRegistration(bytes, { provider: card }),
      (bytes: Uint8Array) => armRegistration(bytes, activationCode),
      (bytes: Uint8Array) => openRegistration(bytes, { account: 'acme', provider: card, activationCode }).dispose(),
      (bytes: Uint8Array) => openRegistration(bytes, { account: 'acme', provider: card }).dispose(),
    ],
  },
  {
    name: 'registration-escrow',
    seeds: [escrow],
    layouts: any(storedEscrow),
    mend: mendedEscrow,
    around: (escrow) => {
      const stored = decode(storedRegistration, file, 'registration')
      return mendedRegistration(encode(storedRegistration, { ...stored, escrow: escrow.subarray(0, 0xffff) }))
    },
    reads: [(bytes) => openRegistration(bytes, { account: 'acme', provider: card, activationCode }).dispose()],
  },
  {
    name: 'activation-code',
    copies: 3,
    seeds: [utf8(activationCode)],
    reads: [
      (bytes) =>
        openRegistration(file, {
          account: 'acme',
          provider: provider.card(),
          activationCode: new TextDecoder().decode(bytes),
        }).dispose(),
    ],
  },
  {
    name: 'typed-text',
    copies: 4,
    // checkTypedKey takes every text, and says how good it is.
    isTotal: true,
    seeds: [utf8('J\u00f6rg ΟΔΥΣΣΕΥΣ \u{1f511}'), utf8(provider.card().fingerprint)],
    reads: [
      (bytes) => parseName(textIn(bytes), 'realm'),
      (bytes) => parseUserName(textIn(bytes), 'user'),
      (bytes) => parseCard(provider.card().bytes, { fingerprint: textIn(bytes) }),
      (bytes) => checkTypedKey({ type: 'AES-128', text: textIn(bytes) }),
    ],
  },
  {
    name: 'device-key',
    seeds: [openKey, protectedKey],
    layouts: any(storedDeviceKey),
    mend: resummed,
    reads: [
      async (bytes: Uint8Array) => (await openDeviceKey(bytes)).dispose(),
      async (bytes: Uint8Array) => (await openDeviceKey(bytes, 'passphrase')).dispose(),
    ],
  },
  {
    name: 'saved-handle',
    seeds: saved,
    layouts: any(storedHandle),
    mend: resummed,
    reads: openSaved,
  },
  ...Object.keys(SavedKind).map((kind, index) => ({
    name: `saved-${kind}`,
    seeds: [keysIn(index)],
    layouts: any([savedLogin, savedClient, savedKeyset][index]),
    around: (keys: Uint8Array) => savedAround(keys, index),
    reads: [openSaved[index]!],
  })),
  {
    name: 'text-value',
    seeds: [text],
    reads: [(bytes) => device.openText(bytes, place)],
  },
  {
    name: 'text-value-padded',
    seeds: [concat(u32(7), utf8('letters'), new Uint8Array(21))],
    around: (padded) => {
      const context = concat(...['t', 'r', 'c'].map((name) => lengthPrefixed(utf8(name))), u64(1))
      return wrapSecret(deviceSecret, padded, { type: ObjectType.textValue, ownerId: NOBODY, context })
    },
    reads: [(bytes) => device.openText(bytes, place)],
  },
]
