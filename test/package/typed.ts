// Uses the types of every entry.
import {
  type Ahead,
  type BlockReader,
  type BlockWriter,
  type Bytes,
  type Card,
  changeKeyset,
  checkRetired,
  createKeyset,
  cut,
  type Each,
  type ErrorCode,
  type Handle,
  type Keyset,
  KeystrataError,
  labelOf,
  loadKeyset,
  openFrom,
  openSavedKeyset,
  openWriter,
  packInto,
  parseCard,
  rekeyBlocks,
  type Rekeyer,
  type RetiredCheck,
  saveKeyset,
  type SealedBlock,
  type SealedContent,
  sealInto,
  type Share,
  shareFrom,
  type StoredBlock,
  verifyBlocks,
} from 'keystrata'
import {
  type Client,
  type ClientOptions,
  deriveClient,
  generateTypedKey,
  openSavedClient,
  parseRegistration,
  type Platform,
  type RegistrationFacts,
  type TypedKey,
} from 'keystrata/client'
import { createDeviceKey, type DeviceKey, type Place } from 'keystrata/device'
import { deriveLegacyClient, type LegacyKey } from 'keystrata/legacy'
import { createPool, type Pool } from 'keystrata/pool'
import {
  type BcryptOptions,
  type Connection,
  guardProfiles,
  type KeyRegistry,
  openKeyRegistry,
  saveCredential,
} from 'keystrata/server'
import {
  type BlobStore,
  blocksIn,
  checkBlocks,
  memoryBlobStore,
  memoryStateStore,
  prefixed,
  type RegistryStore,
  routed,
  type SharedBlocks,
  type StateStore,
} from 'keystrata/stores'
import { delegate, type Delegation, openDelegation } from 'keystrata/fleet'
import { blobStoreLaws, type Law } from 'keystrata/stores/contract'
import {
  createProfile,
  deriveLogin,
  type Login,
  openSavedLogin,
  loadProfile,
  parseProfile,
  type Profile,
  type ProfileFacts,
  type Recovery,
  resetProfile,
  saveProfile,
  type Vault,
} from 'keystrata/vault'

// keystrata
const keyset: Keyset = await createKeyset('password', {
  costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 },
  dedup: 'global',
})
const writer: BlockWriter = openWriter(keyset.export('host'))
const block: SealedBlock = await writer.seal(Uint8Array.of(1, 2, 3))
const content: Bytes = await keyset.open(block)
if (content.join() !== '1,2,3') throw new Error('the opened content differs from the sealed content')

try {
  // @ts-expect-error no such destination
  keyset.export('cloud')
  throw new Error('an error was expected')
} catch (error) {
  if (!(error instanceof TypeError)) throw error
}

// What seal gives goes to the platform without a copy. What open takes may be views, as drivers of databases give them.
const request = new Request('https://example.com', { method: 'PUT', body: block.ciphertext })
const sent = new Uint8Array(await request.arrayBuffer())
const row: Uint8Array<ArrayBufferLike> = new Uint8Array(await new Blob([block.envelope, sent]).arrayBuffer())
const view: StoredBlock = { label: block.label, envelope: row.subarray(0, 1713), ciphertext: row.subarray(1713) }
if ((await keyset.open(view)).join() !== '1,2,3') throw new Error('a view of a row differs from the block')

// An explicit undefined means the default, except where it would switch off a check.
const unset: undefined = undefined
openWriter(keyset.export('host'), { encryption: unset, dedup: unset }).dispose()
await (await writer.prepare(content)).seal({ shares: unset })
// @ts-expect-error an undefined floor
export const lostFloor = (): Promise<Keyset> => loadKeyset(state, 'password', { atLeast: unset })
// @ts-expect-error an undefined fingerprint
export const lostPin = (bytes: Uint8Array): Card => parseCard(bytes, { fingerprint: unset })

const code: ErrorCode = new KeystrataError('policy').code
if (code !== 'policy') throw new Error('the error code differs')
{
  using scoped = openWriter(keyset.export('host'))
  using _prepared = await scoped.prepare(content)
}

// keystrata/pool
const pool: Pool = createPool({ threads: 1, worker: new URL(import.meta.resolve('keystrata/pool/worker')) })
try {
  if ((await pool.reader(keyset).open(block)).join() !== '1,2,3')
    throw new Error('the content that a worker thread opened differs from the sealed content')
} finally {
  await pool.close()
}
declare const webWorker: { postMessage(message: unknown): void }
export const ofFunction = (): Pool => createPool({ worker: () => webWorker })

// keystrata/stores
const state: RegistryStore = memoryStateStore()
const blobs: BlobStore = memoryBlobStore()
const blocks: SharedBlocks = blocksIn(blobs)
await blocks.put(block)
const own: StateStore = routed({ keyset: prefixed(state, 'user-1/') })
await saveKeyset(own, keyset)
const changed: { keyset: Keyset; share: Share } = await changeKeyset(own, keyset, (newest) => newest.createShare())
const checked: RetiredCheck = await checkRetired(blocks, changed.keyset, { logs: [] })
if (changed.keyset.forgetRetired(checked).retired !== 0) throw new Error('there are retired key pairs')
const laws: readonly Law[] = blobStoreLaws(() => blobs)
if (laws.length === 0) throw new Error('there are no laws')

// Streams
const pace: Ahead = { ahead: 2, signal: unset }
const parts: ReadableStream<Uint8Array> = new Blob([content]).stream()
const streamed: SealedContent[] = []
for await (const each of sealInto(blocks, keyset, cut(parts), pace)) streamed.push(each)
for await (const each of packInto(blocks, keyset, [content, content])) streamed.push(each)
const refs: Each<string> = streamed.map(({ ref }) => ref)
let opened = 0
for await (const each of openFrom(blocks, keyset, refs)) opened += new Blob([each satisfies Bytes]).size
for await (const { error } of verifyBlocks(blocks, keyset, refs)) if (error !== undefined) throw error
for await (const ref of shareFrom(blocks, changed.share, refs))
  if (labelOf(ref).length !== 64) throw new Error('no label')
for await (const problem of checkBlocks(blobs, { readData: true })) throw new Error(problem.problem satisfies string)
const { rekeyed, failed } = await rekeyBlocks(blocks, keyset satisfies Rekeyer, { prefix: '0', ...pace })
if (opened !== 9 || rekeyed + failed.length !== 0) throw new Error('the streams differ')
// @ts-expect-error versions are numbers
export const badStore: StateStore = { ...state, read: async () => ({ version: '1', bytes: content }) }
// @ts-expect-error a floor is the text of a revision
export const floor = (): Promise<Keyset> => loadKeyset(state, 'password', { atLeast: 3 })

// keystrata/fleet
const fleet: Keyset = await createKeyset('fleet', { costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 } })
const delegated: Uint8Array = delegate(keyset, fleet.card(), { until: new Date(Date.now() + 3_600_000) })
const delegation: Delegation = openDelegation(delegated, fleet, { from: keyset.card() })
const asRekeyer: Rekeyer = delegation
if (!(delegation.until > new Date()) || asRekeyer.isCurrent === undefined) throw new Error('the delegation differs')
// @ts-expect-error until is a Date
if (delegation.revision === '') delegate(keyset, fleet.card(), { until: Date.now() })
// @ts-expect-error a delegation does not open blocks
if (delegation.revision === '') delegation.open

// keystrata/vault
const recovery: Recovery = { zeroTrust: true }
const login: Login = await deriveLogin('password', { realm: 'package', user: 'user' })
const profile: Profile = createProfile(login, recovery)
const facts: ProfileFacts = parseProfile(profile.record)
if (!facts.zeroTrust) throw new Error('zero trust is not set in the profile')
// @ts-expect-error zeroTrust is true or absent
if (profile.revision === '') createProfile(login, { zeroTrust: false })
// @ts-expect-error a reset names the identity that was pinned, or says that none was
if (profile.revision === '') resetProfile(profile.record, keyset, login, {})
const bcryptOptions: BcryptOptions = { cost: 10 }
const users: StateStore = prefixed(state, 'user/1/')
await saveCredential(users, profile.record, login.credential, bcryptOptions)
const session: StateStore = guardProfiles(users)
await saveProfile(session, profile)
export const openIn = async (id: string): Promise<Vault> =>
  (await loadProfile(session, login, { atLeast: facts.revision })).openVault(session, id)

// keystrata/client
const platform: Platform = 'mac'
const privateKey: TypedKey = generateTypedKey('AES-256')
const options: ClientOptions = { realm: 'package', account: 'account', name: 'desktop', platform, privateKey }
const client: Client = await deriveClient(options)
const sealed: StoredBlock = await client.scope('private').seal(content)
if ((await client.open(sealed)).join() !== '1,2,3') throw new Error('the content that the client opened differs')
export const factsOf = (file: Uint8Array, provider: Card): RegistrationFacts => parseRegistration(file, { provider })

// keystrata/device
const device: DeviceKey = createDeviceKey()
const place: Place = { table: 'table', row: 'row', column: 'column', version: 1 }
const text: string = device.openText(device.sealText('text', place), place)
if (text !== 'text') throw new Error('the text that was sealed on the device differs')
const saved: readonly Handle[] = [
  openSavedKeyset(keyset.save(device), device, { id: keyset.id }),
  openSavedLogin(login.save(device), device, { realm: 'package', user: 'user' }),
  openSavedClient(client.save(device), device, { account: 'account', name: 'desktop' }),
]
for (const handle of saved) handle.dispose()
const readers: readonly BlockReader[] = [keyset, client]
if (readers.length !== 2) throw new Error('unreachable')

// keystrata/server
export const registryOn = (store: RegistryStore): KeyRegistry =>
  openKeyRegistry(store, { realm: 'package', server: 'server.example', safeguarding: 'mandatory' })
export const nameOf = ({ name }: Connection): string => name
export const lock = (registry: KeyRegistry, connection: Connection): Promise<void> =>
  registry.commitFirstBackup(connection)
export const remove = (registry: KeyRegistry, { account, name }: Connection): Promise<boolean> =>
  registry.removeClient({ account, name })
// @ts-expect-error the account of the customer is required
export const enrolAnywhere = (registry: KeyRegistry, bytes: Uint8Array): Promise<void> => registry.enrol(bytes)
// @ts-expect-error no such option
if (code !== 'policy') openKeyRegistry({} as RegistryStore, { realm: 'r', server: 's', safeguarding: 'always' })

// keystrata/legacy
// @ts-expect-error a legacy key must be of type DES-56
const legacyKey: LegacyKey = { type: 'AES-256', text: 'x' }
await deriveLegacyClient({ realm: 'r', account: 'a', name: 'c', platform, privateKey: legacyKey }).then(
  () => Promise.reject(new Error('an error was expected')),
  (error: unknown) => {
    if (!(error instanceof TypeError)) throw error
  },
)
