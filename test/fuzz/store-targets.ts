// Everything that reads a store of a product, while that store answers with junk.
import {
  changeKeyset,
  checkRetired,
  checkWriter,
  createKeyset,
  type Keyset,
  type Log,
  loadKeyset,
  openFrom,
  openLog,
  openWriter,
  packInto,
  rekeyBlocks,
  saveKeyset,
  sealInto,
  shareFrom,
  verifyBlocks,
} from '../../src/index.ts'
import { delegate, openDelegation } from '../../src/fleet.ts'
import {
  addSlot,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  removeSlot,
  renewSlots,
  testSlot,
} from '../../src/recovery.ts'
import { guardProfiles, openKeyRegistry, saveCredential, verifyCredential } from '../../src/server.ts'
import {
  type BlobStore,
  blocksIn,
  checkBlocks,
  checkStore,
  memoryBlobStore,
  memoryStateStore,
  prefixed,
  type RegistryStore,
  routed,
  type SharedBlocks,
} from '../../src/stores.ts'
import { serveStateStore } from '../../src/stores/http.ts'
import { createProfile, deriveLogin, loadProfile, loadRecord, restoreProfile, saveProfile } from '../../src/vault.ts'
import { deriveClient } from '../../src/client.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { logIdOf } from '../../src/state/record-layout.ts'
import { ALICE, all, CHEAP, hex, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import type { Target } from './inputs.ts'
import { honestScripts, junkBlobs, junkBlocks, junkStore, type Objects, objectsIn, storeError } from './junk.ts'

/** Returns a target for an operation on a state store. */
function storeTarget(
  name: string,
  objects: Objects,
  use: (store: RegistryStore) => Promise<unknown>,
  names: Target['names'] = storeError,
): Target {
  return {
    name: `store-${name}`,
    seeds: honestScripts,
    isScript: true,
    reads: [true, false].map((hasListing) => (script) => use(junkStore(objects, script, hasListing))),
    names,
    isImpatient: true,
    // An operation that starts again allocates what it needs again.
    slack: 16 * 1024 * 1024,
    isSlow: true,
  }
}

/** Returns a target for an operation on a store of blobs. */
function blobTarget(
  name: string,
  blobs: ReadonlyMap<string, Uint8Array>,
  use: (blobs: BlobStore) => Promise<unknown>,
): Target {
  return {
    name: `blobs-${name}`,
    seeds: honestScripts,
    isScript: true,
    reads: [true, false].map((copies) => (script) => use(junkBlobs(blobs, script, copies))),
    names: storeError,
    isImpatient: true,
    // An operation that starts again allocates what it needs again.
    slack: 16 * 1024 * 1024,
  }
}

/** Returns a target for an operation on blocks that a product stores in its own way. */
function blocksTarget(name: string, use: (blocks: SharedBlocks) => Promise<unknown>): Target {
  return {
    name: `blocks-${name}`,
    seeds: honestScripts,
    isScript: true,
    reads: [(script) => use(junkBlocks(stored, script))],
    names: storeError,
    isImpatient: true,
    // An operation that starts again allocates what it needs again.
    slack: 16 * 1024 * 1024,
  }
}

// A keyset with a history, slots and a share.
const first = await makeKeyset()
const friend = await makeKeyset()
const code = generateRecoveryCode()
const [byCode, other] = [await deriveRecoveryKey({ code }), await deriveRecoveryKey({ secret: sample(32) })]
const withKeyset = memoryStateStore()
await saveKeyset(withKeyset, first)
await addSlot(withKeyset, first, byCode, { label: 'Sheet' })
await addSlot(withKeyset, first, friend.card(), { label: 'Friend' })
const { keyset, share } = await changeKeyset(withKeyset, first, (now) => now.regenerate().createShare())
const slots = await listSlots(withKeyset)
const keysetObjects = await objectsIn(withKeyset, 'keyset', 'slots')
const writer = openWriter(keyset.export('host'))
const fresh = await createKeyset(PASSWORD, { costs: CHEAP })
const dispose = (handle: Disposable): void => handle[Symbol.dispose]()

// Logs, one of a vault and one of the keyset, both resealed once.
const vaultKeys = new OpenedVault(sample(16, 3), new SecretKey('data', sample(32, 3)))
const id = hex(logIdOf('backups'))
async function logObjects(keys: Keyset | OpenedVault): Promise<{ objects: Objects; positions: string[] }> {
  const store = memoryStateStore()
  const log = openLog(store, 'backups', keys)
  const positions = [await log.append(sample(10)), await log.append(sample(20))]
  await log.reseal({ atLeast: positions[1]! })
  positions.push(await log.append(sample(30)), await log.append(sample(40)))
  return { objects: await objectsIn(store, `log/${id}`, `log/${id}/0`, `log/${id}/1`), positions }
}
const ofVault = await logObjects(vaultKeys)
const ofKeyset = await logObjects(keyset)
const logTargets = [
  { of: 'vault', keys: vaultKeys, ...ofVault },
  { of: 'keyset', keys: keyset, ...ofKeyset },
].flatMap(({ of, keys, objects, positions }) => {
  const target = (name: string, use: (log: Log) => Promise<unknown>) =>
    storeTarget(`log-${of}-${name}`, objects, (store) => use(openLog(store, 'backups', keys)))
  const [before = '', last = ''] = [positions[1], positions[3]]
  return [
    target('append', (log) => log.append(sample(10))),
    target('append-twice', (log) => Promise.all([log.append(sample(10)), log.append(sample(11))])),
    target('last', (log) => log.last({ atLeast: last })),
    target('read', (log) => all(log.read({ after: before, atLeast: last }))),
    target('read-damaged', (log) => all(log.read({ onDamaged: () => undefined }))),
    target('reseal', (log) => log.reseal({ atLeast: last })),
    target('reseal-up-to', (log) => log.reseal({ atLeast: before, upTo: before, leaveOut: [positions[0]!] })),
  ]
})

// Profiles and vaults.
const [login, nextLogin] = [await deriveLogin(PASSWORD, ALICE), await deriveLogin('another password', ALICE)]
const withProfile = memoryStateStore()
const begun = createProfile(login, { zeroTrust: true })
const made = await begun.createVault(withProfile)
const vaultId = made.vault.id
const keyringName = `keyring/${vaultId}`
const profile = made.profile.changePassword(nextLogin)
await saveProfile(withProfile, profile)
const rotated = await profile.rotate(withProfile)
const profileObjects = await objectsIn(withProfile, 'profile', keyringName)
const changed = rotated.changePassword(login)
const bcrypt = { hash: async () => verifier, compare: async () => true }
const verifier = '$2b$10$abcdefghijklmnopqrstuuZ3mZCl48E233DDWfnHXNK.FZWTmxCr.'
const cheapBcrypt = { cost: 10, bcrypt }
const withCredential = memoryStateStore()
const { record } = begun
await saveCredential(withCredential, record, login.credential, cheapBcrypt)
await saveProfile(withCredential, begun)
const nextRecord = begun.changePassword(nextLogin).record
const loginName = `login/${hex(record.subarray(16, 32))}`
const credentialObjects = await objectsIn(withCredential, 'profile', loginName)

/** The server's own row is damaged: that is not the fault of a client. */
const credentialError = (error: unknown): string | undefined =>
  error instanceof Error && error.message.startsWith('the verifier of a password is damaged')
    ? 'a damaged row'
    : storeError(error)

// A registry with one client.
const client = await deriveClient({
  ...{ realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' },
  privateKey: { type: 'AES-256', text: 'x' },
  accountKey: { type: 'AES-128', text: 'y' },
})
const here = { server: 'here' }
const withClient = memoryStateStore()
const registryOf = (store: RegistryStore) =>
  openKeyRegistry(store, { realm: 'tests', ...here, safeguarding: 'optional' })
const registry = registryOf(withClient)
await registry.enrol(client.enrolment(await registry.challenge(), here), { account: 'acme' })
const registryNames: string[] = []
await registryOf({
  ...withClient,
  read: (name) => {
    registryNames.push(name)
    return withClient.read(name)
  },
}).listClients('acme')
const registryObjects = await objectsIn(withClient, 'registry', ...registryNames)
const { escrow } = client.safeguard()
await registry.safeguard(escrow, { account: 'acme' })
const safeguardedObjects = await objectsIn(withClient, 'registry', ...registryNames)
const desktop = { account: 'acme', name: 'desktop' }

/** The server's own row, or its key, is damaged: that is not the fault of a client. */
const registryError = (error: unknown): string | undefined =>
  error instanceof Error && /of the registry is damaged|in the registry is damaged/.test(error.message)
    ? 'a damaged row'
    : storeError(error)
const registryTarget = (
  name: string,
  objects: Objects,
  use: (registry: ReturnType<typeof registryOf>) => Promise<unknown>,
): Target => storeTarget(`registry-${name}`, objects, (store) => use(registryOf(store)), registryError)

// Blocks of the keyset and of its share.
const blobs = memoryBlobStore()
const refs: string[] = []
const sharedRefs: string[] = []
for await (const each of sealInto(blocksIn(blobs), writer, [sample(100), sample(200)], { shares: [share.id] })) {
  refs.push(each.ref)
  sharedRefs.push(each.shared!.get(share.id)!)
}
for await (const each of packInto(blocksIn(blobs), writer, [sample(10, 2), sample(20, 2)])) refs.push(each.ref)
const stored: ReadonlyMap<string, Uint8Array> = new Map(
  await Promise.all((await all(blobs.list(''))).map(async ({ name }) => [name, (await blobs.get(name))!] as const)),
)
const later = keyset.regenerate()
const reader = friend.acceptShare(share.invite(friend.card()), keyset.card())
const until = new Date(Date.now() + 86_400_000)
const delegation = openDelegation(delegate(later, friend.card(), { until }), friend, { from: later.card() })
const label = refs[0]!.slice(0, 64)
const wholeBlock = (await blocksIn(blobs).get(label))!
const newBlock = await writer.seal(sample(300), { shares: [share.id] })

export const storeTargets: readonly Target[] = [
  storeTarget('save-keyset', new Map(), (store) => saveKeyset(store, fresh)),
  storeTarget('save-keyset-again', keysetObjects, (store) => saveKeyset(store, later)),
  storeTarget('load-keyset', keysetObjects, async (store) => dispose(await loadKeyset(store, PASSWORD))),
  storeTarget('change-keyset', keysetObjects, async (store) =>
    dispose(await changeKeyset(store, keyset, (now) => now.changePassword(PASSWORD, { costs: CHEAP }))),
  ),
  storeTarget('change-older-keyset', keysetObjects, async (store) =>
    dispose(await changeKeyset(store, first, (now) => now.regenerate())),
  ),
  storeTarget('check-writer', keysetObjects, (store) => checkWriter(store, writer)),
  storeTarget('add-slot', keysetObjects, (store) => addSlot(store, keyset, other, { label: 'Passkey' })),
  storeTarget('list-slots', keysetObjects, (store) => listSlots(store, keyset)),
  storeTarget('remove-slot', keysetObjects, (store) => removeSlot(store, keyset, slots[0]!.id)),
  storeTarget('renew-slots', keysetObjects, (store) => renewSlots(store, keyset)),
  storeTarget('test-slot', keysetObjects, (store) => testSlot(store, byCode)),
  storeTarget('recover-keyset', keysetObjects, async (store) => {
    dispose(await recoverKeyset(store, byCode))
    dispose(await recoverKeyset(store, friend, { from: keyset.card() }))
  }),
  ...logTargets,
  storeTarget('check-retired', ofKeyset.objects, (store) =>
    checkRetired(blocksIn(memoryBlobStore()), keyset, { logs: [openLog(store, 'backups', keyset)] }),
  ),
  storeTarget('load-profile', profileObjects, async (store) => dispose(await loadProfile(store, nextLogin))),
  storeTarget('load-record', profileObjects, (store) => loadRecord(store)),
  storeTarget('save-profile', profileObjects, (store) => saveProfile(store, changed)),
  storeTarget('restore-profile', profileObjects, async (store) => dispose(await restoreProfile(store, rotated))),
  storeTarget('create-vault', profileObjects, async (store) => dispose(await rotated.createVault(store))),
  storeTarget('open-vault', profileObjects, async (store) => dispose(await rotated.openVault(store, vaultId))),
  storeTarget('rotate', profileObjects, async (store) => dispose(await rotated.rotate(store))),
  storeTarget('change-recovery', profileObjects, async (store) =>
    dispose(await rotated.changeRecovery(store, { zeroTrust: true })),
  ),
  storeTarget(
    'save-credential',
    credentialObjects,
    (store) => saveCredential(store, nextRecord, nextLogin.credential, cheapBcrypt),
    credentialError,
  ),
  storeTarget(
    'verify-credential',
    credentialObjects,
    (store) => verifyCredential(store, login.credential, cheapBcrypt),
    credentialError,
  ),
  storeTarget('guard', profileObjects, async (given) => {
    const store = guardProfiles(given)
    await store.read('profile')
    await store.readVersion(keyringName, 1)
    if (store.readVersions !== undefined) await all(store.readVersions('profile', 1))
    await store.write('profile', 99, changed.record)
    await store.drop('profile', 1)
  }),
  storeTarget(
    'guard-write',
    credentialObjects,
    (store) => guardProfiles(store).write('profile', 2, begun.changePassword(login).record),
    credentialError,
  ),
  storeTarget('guard-keyring', profileObjects, async (store) =>
    guardProfiles(store).write(keyringName, 9, (await withProfile.read(keyringName))!.bytes),
  ),
  registryTarget('challenge', registryObjects, (each) => each.challenge()),
  registryTarget('enrol', registryObjects, async (each) =>
    each.enrol(client.enrolment(await each.challenge(), here), { account: 'acme' }),
  ),
  registryTarget('connect', registryObjects, async (each) => {
    const connection = await each.connect(client.prove(await each.challenge(), here))
    await each.commitFirstBackup(connection)
  }),
  registryTarget('safeguard', registryObjects, async (each) => {
    await each.safeguard(escrow, { account: 'acme' })
    await each.clearEscrow(desktop)
  }),
  registryTarget('registration', safeguardedObjects, (each) =>
    each.buildRegistration(desktop, keyset, { expires: until }),
  ),
  registryTarget('clients', registryObjects, async (each) => {
    await each.listClients('acme')
    await each.removeClient(desktop)
    await each.clearAccountKey('acme')
  }),
  // Answers of the server are responses, whatever the store does.
  storeTarget('served', keysetObjects, async (store) => {
    const ask = async (method: string, path: string, init: RequestInit = {}) => {
      const request = new Request(`https://example.org/_/${path}`, { method, ...init })
      return (await serveStateStore(store, request, { allowDrop: true })).status
    }
    const statuses = [
      await ask('GET', 'keyset'),
      await ask('GET', 'keyset?version=1'),
      await ask('PUT', 'keyset', { headers: { 'If-Match': '"2"' }, body: new Uint8Array(3) }),
      await ask('DELETE', 'keyset?below=2'),
    ]
    if (statuses.some((status) => status >= 400 && status !== 412)) return store.read('keyset')
    return statuses
  }),
  storeTarget('parts', keysetObjects, async (given) => {
    const store = routed({ 'a/': prefixed(given, 'x/'), keyset: given })
    await loadKeyset(store, PASSWORD)
    await store.write('a/b', 1, sample(3))
    await store.drop('a/b', 2)
  }),
  storeTarget('check-store', new Map(), (store) => checkStore(store)),

  blobTarget('check-store', new Map(), (given) => checkStore(given)),
  blobTarget('check-blocks', stored, (given) => all(checkBlocks(given, { readData: true }))),
  blobTarget('seal-into', stored, (given) =>
    all(sealInto(blocksIn(given), writer, [sample(100), sample(300)], { shares: [share.id] })),
  ),
  blobTarget('pack-into', stored, (given) =>
    all(packInto(blocksIn(given), writer, [sample(10, 2), sample(20, 3)], { shares: [share.id] })),
  ),
  blobTarget('open-from', stored, (given) => all(openFrom(blocksIn(given), keyset, refs))),
  blobTarget('open-shared', stored, (given) => all(openFrom(blocksIn(given).shared(reader.id), reader, sharedRefs))),
  blobTarget('verify', stored, (given) => all(verifyBlocks(blocksIn(given), keyset, refs))),
  blobTarget('share-from', stored, (given) => all(shareFrom(blocksIn(given), share, refs))),
  blobTarget('rekey', stored, (given) => rekeyBlocks(blocksIn(given), later)),
  blobTarget('rekey-delegated', stored, (given) => rekeyBlocks(blocksIn(given), delegation)),
  blobTarget('check-retired', stored, (given) => checkRetired(blocksIn(given), keyset, { logs: [] })),
  blobTarget('blocks', stored, async (given) => {
    const blocks = blocksIn(given)
    await blocks.has(label)
    await blocks.get(label)
    const head = await blocks.head?.(label)
    if (head !== undefined) await blocks.shared(share.id).putHead?.({ ...head, envelope: wholeBlock.envelope })
    await blocks.put(newBlock)
    await all(blocks.heads())
    await blocks.replaceEnvelope(wholeBlock, keyset.rekey(wholeBlock))
    await blocks.delete(label)
  }),

  blocksTarget('seal-into', (blocks) =>
    all(sealInto(blocks, writer, [sample(100), sample(300)], { shares: [share.id] })),
  ),
  blocksTarget('pack-into', (blocks) => all(packInto(blocks, writer, [sample(10, 2), sample(20, 3)]))),
  blocksTarget('open-from', (blocks) => all(openFrom(blocks, keyset, refs))),
  blocksTarget('open-shared', (blocks) => all(openFrom(blocks.shared(reader.id), reader, sharedRefs))),
  blocksTarget('verify', (blocks) => all(verifyBlocks(blocks, keyset, refs))),
  blocksTarget('share-from', (blocks) => all(shareFrom(blocks, share, refs))),
  blocksTarget('rekey', (blocks) => rekeyBlocks(blocks, later)),
  blocksTarget('check-retired', (blocks) => checkRetired(blocks, keyset, { logs: [] })),
]
