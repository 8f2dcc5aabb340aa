// Objects of this version, by name, and the readers that get those of version 0.2. The names are those of make-0.2.mjs.
import { deriveClient, openRegistration, openSavedClient, parseRegistration } from '../../src/client.ts'
import { createDeviceKey, type DeviceKey, openDeviceKey } from '../../src/device.ts'
import { encodeBlock, KeystrataError, openWriter, parseBlock, parseCard, unlockKeyset } from '../../src/index.ts'
import { guardProfiles, openKeyRegistry } from '../../src/server.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { createProfile, deriveLogin, openProfile, parseProfile } from '../../src/vault.ts'
import { ALICE, anywhere, atStart, makeKeyset, newestBytes, PASSWORD, sample } from '../fixtures.ts'

const keyset = await makeKeyset()
const friend = await makeKeyset()
const { keyset: sharing, share } = keyset.createShare()
const block = await sharing.seal(sample(20))
const { record } = await openWriter(sharing.export('host')).sealRecord(sample(20), atStart)
const login = await deriveLogin(PASSWORD, ALICE)
const store = memoryStateStore()
const { profile, vault } = await createProfile(login, { admin: keyset.card() }).createVault(store)
const vaultBlock = await vault.seal(sample(20))
const client = await deriveClient({
  ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
  privateKey: { type: 'AES-256', text: 'x' },
  accountKey: { type: 'AES-128', text: 'y' },
})
const clientBlock = await client.scope('private').seal(sample(20))
const here = { server: 'here' }
const registry = openKeyRegistry(memoryStateStore(), { realm: 'tests', ...here, safeguarding: 'optional' })
const challenge = await registry.challenge()
const enrolment = client.enrolment(challenge, here)
await registry.enrol(enrolment, { account: 'acme' })
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, { account: 'acme' })
const expires = new Date(Date.now() + 86_400_000)
const registration = await registry.buildRegistration({ account: 'acme', name: 'desktop' }, keyset, { expires })
const device = createDeviceKey()
const place = { table: 't', row: 'r', column: 'c', version: 1 }

export const objects: Readonly<Record<string, Uint8Array>> = {
  'host export': sharing.export('host'),
  'storage export': sharing.export('storage'),
  'definition export': sharing.export('definition'),
  block: encodeBlock(block),
  record,
  card: keyset.card().bytes,
  invite: share.invite(friend.card()),
  profile: profile.record,
  keyring: await newestBytes(store, `keyring/${profile.vaults[0]!}`),
  'block of a vault': encodeBlock(vaultBlock),
  'block of a client': encodeBlock(clientBlock),
  challenge,
  enrolment,
  proof: client.prove(challenge, here),
  escrow,
  registration,
  'device key': device.exportUnprotected(),
  'protected device key': await device.export(PASSWORD),
  'saved client': client.save(device),
  'text value': device.sealText('a text', place),
}

/** The readers of this version. `old` has all objects of 0.2: some open others. */
export function readersOf(
  old: Readonly<Record<string, Uint8Array>>,
): Readonly<Record<string, (bytes: Uint8Array) => unknown>> {
  const oldDevice = (): Promise<DeviceKey> => openDeviceKey(old['device key']!)
  const oldCard = () => parseCard(old['card']!)
  const oldLabel = Buffer.from(old['label of the block of a client']!).toString('hex')
  const guarded = () => guardProfiles(memoryStateStore())
  return {
    'host export': (bytes) => openWriter(bytes),
    'storage export': (bytes) => unlockKeyset(bytes, PASSWORD),
    'definition export': (bytes) => unlockKeyset(bytes, PASSWORD),
    block: (bytes) => keyset.open(parseBlock(bytes, block.label)),
    record: (bytes) => keyset.openRecord(bytes, anywhere),
    card: (bytes) => parseCard(bytes),
    invite: (bytes) => friend.acceptShare(bytes, oldCard()),
    profile: (bytes) => openProfile(bytes, login),
    'profile at a server': (bytes) => parseProfile(bytes),
    'profile behind the guard': (bytes) => guarded().write('profile', 1, bytes),
    keyring: (bytes) => guarded().write(`keyring/${profile.vaults[0]!}`, 1, bytes),
    'block of a vault': (bytes) => vault.open(parseBlock(bytes, vaultBlock.label)),
    'block of a client': (bytes) => client.scope('private').open(parseBlock(bytes, oldLabel)),
    challenge: (bytes) => client.prove(bytes, here),
    enrolment: (bytes) => registry.enrol(bytes, { account: 'acme' }),
    proof: (bytes) => registry.connect(bytes),
    escrow: async (bytes) => {
      // It is older than the escrow of the other registry.
      const other = openKeyRegistry(memoryStateStore(), { realm: 'tests', ...here, safeguarding: 'optional' })
      await other.enrol(client.enrolment(await other.challenge(), here), { account: 'acme' })
      await other.safeguard(bytes, { account: 'acme' })
    },
    registration: (bytes) => parseRegistration(bytes, { provider: oldCard() }),
    'registration with its code': (bytes) =>
      openRegistration(bytes, { provider: oldCard(), activationCode, account: 'acme' }),
    'device key': (bytes) => openDeviceKey(bytes),
    'protected device key': (bytes) => openDeviceKey(bytes, PASSWORD),
    'saved client': async (bytes) => openSavedClient(bytes, await oldDevice(), { account: 'acme', name: 'desktop' }),
    'text value': async (bytes) => (await oldDevice()).openText(bytes, place),
  }
}

/** Gives each object of 0.2 to its readers, and returns what they say: `taken`, or the code of the error. */
export async function outcomesFor(
  old: Readonly<Record<string, Uint8Array>>,
): Promise<Readonly<Record<string, string>>> {
  const said: Record<string, string> = {}
  for (const [name, read] of Object.entries(readersOf(old))) {
    const bytes = old[name] ?? old[name.replace(/ (?:at|with|behind) .*/, '')]
    if (bytes === undefined) throw new Error(`there is no ${name} of 0.2`)
    try {
      await read(bytes)
      said[name] = 'taken'
    } catch (error) {
      if (!(error instanceof KeystrataError)) throw error
      said[name] = error.code
    }
  }
  return said
}
