// Makes one of every object of version 0.2, with the library of that version, and prints them as JSON: name to hex.
// It also gives the objects of 0.3 in the file of its second argument to the readers of 0.2, and prints what they say.
// node make-0.2.mjs <folder of dist> <file>
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [folder, given] = process.argv.slice(2)
const {
  createClient,
  createDeviceKey,
  createKeyset,
  createProfile,
  deriveLogin,
  encodeBlock,
  openDeviceKey,
  openProfile,
  openRegistration,
  openWriter,
  parseBlock,
  parseCard,
  parseRegistration,
  unlockKeyset,
} = await import(pathToFileURL(`${folder}/index.js`))
const { checkProfile, KeyRegistry } = await import(pathToFileURL(`${folder}/server.js`))

const PASSWORD = 'correct horse battery staple'
const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const keyset = await createKeyset(PASSWORD, { costs })
const friend = await createKeyset(PASSWORD, { costs })
const { reader, share } = keyset.createShare()
const writer = openWriter(reader.export('host'))
const block = await writer.seal(Buffer.from('a block of 0.2'))
const { record } = await writer.sealRecord(Buffer.from('a record of 0.2'), 'start')

const vaults = new Map()
const store = {
  readProfile: async () => vaults.get('profile'),
  writeProfile: async (bytes) => (vaults.set('profile', bytes), true),
  readKeyring: async (id) => vaults.get(id),
  writeKeyring: async (id, bytes) => (vaults.set(id, bytes), true),
  deleteKeyring: async () => undefined,
}
const login = await deriveLogin(PASSWORD, { realm: 'tests', user: 'alice' })
const first = createProfile(login, { admin: keyset.card() })
vaults.set('profile', first.record)
const { profile, vault } = await first.createVault(store)
const vaultBlock = await vault.seal(Buffer.from('a block of a vault'))
const keyring = [...vaults].find(([name]) => name !== 'profile')?.[1]

const client = await createClient({
  realm: 'tests',
  account: 'acme',
  client: 'desktop',
  platform: 'linux',
  privateKey: { type: 'AES-256', text: 'x' },
  accountKey: { type: 'AES-128', text: 'y' },
})
const rows = new Map()
const challenges = new Set()
const registry = new KeyRegistry(
  {
    read: async (account, name) => rows.get(`${account}/${name}`),
    write: async (account, name, row, version) => (rows.set(`${account}/${name}`, { row, version }), true),
    addChallenge: async (challenge) => void challenges.add(Buffer.from(challenge).toString('hex')),
    takeChallenge: async (challenge) => challenges.delete(Buffer.from(challenge).toString('hex')),
  },
  { realm: 'tests', server: 'here', safeguarding: 'optional' },
)
const challenge = await registry.challenge()
const enrolment = client.enrolment()
await registry.enrol(enrolment, { account: 'acme' })
const { escrow, activationCode } = client.safeguard()
await registry.safeguard(escrow, { account: 'acme' })
const registration = await registry.buildRegistration('acme', 'desktop', keyset, { expires: new Date('2100-01-01') })
const device = createDeviceKey()
const place = { table: 't', row: 'r', column: 'c', version: 1 }
const privateBlock = await client.scope('private').seal(Buffer.from('a block of a client'))

const objects = {
  'host export': reader.export('host'),
  'storage export': reader.export('source-storage'),
  'definition export': reader.export('source-definition'),
  block: encodeBlock(block),
  record,
  card: keyset.card().bytes,
  invite: share.invite(friend.card()),
  profile: profile.record,
  keyring,
  'block of a vault': encodeBlock(vaultBlock),
  'block of a client': encodeBlock(privateBlock),
  challenge,
  enrolment,
  proof: client.prove(challenge, { server: 'here' }),
  escrow,
  registration,
  'device key': device.exportUnprotected(),
  'protected device key': await device.export(PASSWORD),
  'saved client': device.save(client),
  'text value': device.sealText('a text', place),
  'label of the block of a client': Buffer.from(privateBlock.label, 'hex'),
}

/** The readers of 0.2, which must say `unsupported` of what 0.3 made. */
const readers = {
  'host export': (bytes) => openWriter(bytes),
  'storage export': (bytes) => unlockKeyset(bytes, PASSWORD),
  'definition export': (bytes) => unlockKeyset(bytes, PASSWORD),
  block: (bytes) => reader.open(parseBlock(bytes, block.label)),
  record: (bytes) => reader.openRecord(bytes, { after: 'start' }),
  card: (bytes) => parseCard(bytes),
  invite: (bytes) => friend.acceptShare(bytes, keyset.card()),
  profile: (bytes) => openProfile(bytes, login),
  'profile at a server': (bytes) => checkProfile(bytes),
  keyring: async (bytes) => profile.openVault(profile.vaults[0], { ...store, readKeyring: async () => bytes }),
  'block of a vault': (bytes) => vault.open(parseBlock(bytes, vaultBlock.label)),
  'block of a client': (bytes) => client.scope('private').open(parseBlock(bytes, privateBlock.label)),
  challenge: (bytes) => client.prove(bytes, { server: 'here' }),
  enrolment: (bytes) => registry.enrol(bytes, { account: 'acme' }),
  proof: (bytes) => registry.connect(bytes),
  escrow: (bytes) => registry.safeguard(bytes, { account: 'acme' }),
  registration: (bytes) => parseRegistration(bytes, { provider: keyset.card() }),
  'registration with its code': (bytes) =>
    openRegistration(bytes, { provider: keyset.card(), activationCode, account: 'acme' }),
  'device key': (bytes) => openDeviceKey(bytes),
  'protected device key': (bytes) => openDeviceKey(bytes, PASSWORD),
  'saved client': (bytes) => device.openClient(bytes),
  'text value': (bytes) => device.openText(bytes, place),
}
const said = {}
if (given !== undefined) {
  const theirs = JSON.parse(readFileSync(given, 'utf8'))
  for (const [name, read] of Object.entries(readers)) {
    const hex = theirs[name] ?? theirs[name.replace(/ (at|with) .*/, '')]
    if (hex === undefined) continue
    try {
      await read(new Uint8Array(Buffer.from(hex, 'hex')))
      said[name] = 'taken'
    } catch (error) {
      said[name] = `${error.code ?? error}`
    }
  }
}
console.log(
  JSON.stringify({
    objects: Object.fromEntries(
      Object.entries(objects).map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex')]),
    ),
    said,
  }),
)
