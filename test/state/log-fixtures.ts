// What the tests of records and logs share: the handles of every key model, the fields of a record, and a store that a
// test can damage.
import { createHash } from 'node:crypto'
import { deriveClient } from '../../src/client.ts'
import { SecretKey } from '../../src/core/secret.ts'
import { type Keyset, type Log, openLog, openWriter, type RecordReader, type RecordWriter } from '../../src/index.ts'
import { recordKeysOf } from '../../src/state/record.ts'
import { logIdOf, type RecordFields } from '../../src/state/record-layout.ts'
import type { StateStore } from '../../src/stores.ts'
import { OpenedVault } from '../../src/vault/block.ts'
import { D, hash, LP } from '../spec-reader.ts'
import { all, flipped, hex, makeKeyset, quickly, sample } from '../fixtures.ts'

/** Who writes the records of one owner, and who reads them. */
export interface Door {
  readonly name: string
  readonly writer: RecordWriter
  readonly reader: RecordReader
  /** A writer of the same key model with other keys. */
  readonly stranger: RecordWriter
  readonly suite: number
  /** The length of the body around the content. */
  readonly extra: number
}

export const quickKeyset = (options?: Parameters<typeof makeKeyset>[0]): Promise<Keyset> =>
  quickly(() => makeKeyset(options))
export const vaultOf = (seed: number): OpenedVault =>
  new OpenedVault(sample(16, seed), new SecretKey('data', sample(32, seed)))

/** The keys of most tests of logs: a MAC is much faster than signatures. */
export const cheap: OpenedVault = vaultOf(3)

const NAMES = { realm: 'tests', account: 'acme', name: 'desktop', platform: 'linux' } as const
/** Creates a client. Its private keys of different sizes are different clients. */
export const clientOf = (type: 'AES-128' | 'AES-192' | 'AES-256', text: string): ReturnType<typeof deriveClient> =>
  quickly(() => deriveClient({ ...NAMES, privateKey: { type, text }, accountKey: { type, text: `${text} shared` } }))

export const owner: Keyset = await quickKeyset()
export const stranger: Keyset = await quickKeyset()
const lax = await quickKeyset({ encryption: 'x25519' })
const [sharing, foreignSharing] = [owner.createShare(), stranger.createShare()]
const [client, foreignClient] = [await clientOf('AES-256', 'one'), await clientOf('AES-256', 'two')]
const [small, middle] = [await clientOf('AES-128', 'three'), await clientOf('AES-192', 'four')]

export const sharedOwner: Keyset = sharing.keyset
export const shareId: string = sharing.share.id
const sharedReader = stranger.acceptShare(sharing.share.invite(stranger.card()), owner.card())

const HYBRID = { suite: 0x0102, extra: 1744 }
const CLASSIC = { suite: 0x0101, extra: 176 }
const ofKey = (suite: number) => ({ suite, extra: 112 })

/** Every pair of handles that can write and read records, with the suite and the sizes that SPEC §7.2 gives them. */
export const doors: readonly Door[] = [
  { name: 'a keyset', writer: owner, reader: owner, stranger, ...HYBRID },
  { name: 'a keyset with X25519 alone', writer: lax, reader: lax, stranger, ...CLASSIC },
  { name: 'the writer of a keyset', writer: openWriter(owner.export('host')), reader: owner, stranger, ...HYBRID },
  {
    name: 'a share, and who accepted it',
    writer: sharing.share,
    reader: sharedReader,
    stranger: foreignSharing.share,
    ...HYBRID,
  },
  {
    name: 'a share of a writer, and who accepted it',
    writer: openWriter(sharing.keyset.export('host')).share(shareId),
    reader: sharedReader,
    stranger: foreignSharing.share,
    ...HYBRID,
  },
  { name: 'a vault', writer: vaultOf(1), reader: vaultOf(1), stranger: vaultOf(2), ...ofKey(0x0202) },
  {
    name: 'a private scope',
    writer: client.scope('private'),
    reader: client.scope('private'),
    stranger: foreignClient.scope('private'),
    ...ofKey(0x0313),
  },
  {
    name: 'a private scope with AES-192',
    writer: middle.scope('private'),
    reader: middle.scope('private'),
    stranger: client.scope('private'),
    ...ofKey(0x0312),
  },
  {
    name: 'an account scope with AES-128',
    writer: small.scope('account'),
    reader: small.scope('account'),
    stranger: small.scope('private'),
    ...ofKey(0x0311),
  },
]

export type Owner = RecordWriter & RecordReader

/** The doors whose handle does everything that a log can do. */
export const owners: readonly (Door & { keys: Owner })[] = doors.flatMap((door) => {
  const { writer } = door
  return isOwner(writer) ? [{ ...door, keys: writer }] : []
})

function isOwner(writer: RecordWriter): writer is Owner {
  return 'openRecord' in writer
}

export const LOG = 'backups'
/** SPEC §7.1. */
export const LOG_ID: string = hex(hash('sha256', D('log-name'), LP(Buffer.from(LOG))).subarray(0, 16))
export const POINTER: string = 'log/'.concat(LOG_ID)
export const epochName = (epoch: number): string => `log/${LOG_ID}/${epoch}`

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

interface Fields extends Record<'keyId' | 'ownerId' | 'id' | 'previous', string> {
  type: number
  suite: number
  epoch: number
  flags: number
  sequence: number
  number: number
}

/** The fields of a record, at the offsets that SPEC §2 and §7.1 give them. */
export function fieldsOf(record: Uint8Array): Fields {
  const view = new DataView(record.buffer, record.byteOffset)
  return {
    type: view.getUint8(5),
    suite: view.getUint16(6),
    epoch: view.getUint32(8),
    flags: view.getUint32(12),
    keyId: hex(record.subarray(16, 32)),
    ownerId: hex(record.subarray(32, 48)),
    sequence: Number(view.getBigUint64(48)),
    number: Number(view.getBigUint64(56)),
    id: hex(record.subarray(64, 80)),
    previous: hex(record.subarray(80, 112)),
  }
}

/** A state store in memory. A test can change what it holds, do something before a call, and make a call fail. */
export class OpenStore implements StateStore {
  readonly objects: Map<string, Map<number, Uint8Array>> = new Map()
  /** Every write that succeeded. */
  readonly written: [name: string, version: number][] = []
  /** How often each method was called. */
  readonly calls = { read: 0, readVersion: 0, write: 0, drop: 0 }
  /** Runs before a write. What it returns, if anything, is the answer, and nothing is written. */
  beforeWrite: (name: string, version: number, bytes: Uint8Array) => unknown = () => undefined

  versionsOf(name: string): Map<number, Uint8Array> {
    const versions = this.objects.get(name) ?? new Map<number, Uint8Array>()
    this.objects.set(name, versions)
    return versions
  }

  newest(name: string): number {
    return Math.max(0, ...this.versionsOf(name).keys())
  }

  at(name: string, version: number): Uint8Array {
    return this.versionsOf(name).get(version)!
  }

  /** Replaces a version, whatever is there. */
  set(name: string, version: number, bytes: Uint8Array): void {
    this.versionsOf(name).set(version, new Uint8Array(bytes))
  }

  /** Damages the last byte of a version. */
  rot(name: string, version: number): void {
    const bytes = this.at(name, version)
    this.set(name, version, flipped(bytes, bytes.length - 1))
  }

  lose(name: string, ...versions: readonly number[]): void {
    for (const version of versions) this.versionsOf(name).delete(version)
  }

  /** Returns a store with the same contents, as a backup of it would be. */
  copy(): OpenStore {
    const copy = new OpenStore()
    for (const [name, versions] of this.objects) copy.objects.set(name, new Map(versions))
    return copy
  }

  async read(name: string): Promise<{ version: number; bytes: Uint8Array } | undefined> {
    this.calls.read++
    const version = this.newest(name)
    return version === 0 ? undefined : { version, bytes: new Uint8Array(this.at(name, version)) }
  }

  async readVersion(name: string, version: number): Promise<Uint8Array | undefined> {
    this.calls.readVersion++
    const bytes = this.versionsOf(name).get(version)
    return bytes && new Uint8Array(bytes)
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    this.calls.write++
    const answer = await this.beforeWrite(name, version, bytes)
    if (answer !== undefined) return answer as boolean
    if (version !== this.newest(name) + 1) return false
    this.set(name, version, bytes)
    this.written.push([name, version])
    return true
  }

  async drop(name: string, below: number): Promise<void> {
    this.calls.drop++
    const newest = this.newest(name)
    for (const version of this.versionsOf(name).keys()) if (version < Math.min(below, newest)) this.lose(name, version)
  }
}

export const logIn = (store: StateStore, keys: Owner = cheap): Log => openLog(store, LOG, keys)

/** Returns the texts in a log. */
export const textsIn = async (
  log: Pick<Log, 'read'>,
  options?: Parameters<Log['read']>[0],
): Promise<readonly string[]> => (await all(log.read(options))).map(({ content }) => textOf(content))

/** Appends texts and returns their positions. */
export async function appendAll(log: Pick<Log, 'append'>, ...texts: readonly string[]): Promise<string[]> {
  const positions: string[] = []
  for (const text of texts) positions.push(await log.append(bytesOf(text)))
  return positions
}

/** A log of these texts, its store, and their positions. */
export async function filled(
  texts: readonly string[],
  keys: Owner = cheap,
): Promise<{ store: OpenStore; log: Log; positions: string[] }> {
  const store = new OpenStore()
  const log = logIn(store, keys)
  return { store, log, positions: await appendAll(log, ...texts) }
}

/** Seals a record with any fields, as somebody can who has the keys and not this library's care. */
export function forgeRecord(
  keys: RecordWriter,
  fields: Partial<RecordFields>,
  content: Uint8Array,
  log?: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole: RecordFields = {
    kind: 'content',
    epoch: 0,
    sequence: 1,
    number: 1,
    id: sample(16, 77),
    previous: new Uint8Array(32),
    isAfterDamage: false,
    ...fields,
  }
  return recordKeysOf(keys)().write!.seal(whole, logIdOf(log ?? LOG), content, sha256(content))
}

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

/**
 * A log that was resealed without its first record while another host appended one more. So there are two closes: copies
 * 2 and so on, the close of the first attempt, the last copy, the close.
 */
export async function closedTwice(
  texts: string[],
  keys?: Owner,
): Promise<{ store: OpenStore; positions: string[]; last: string }> {
  const { store, log, positions } = await filled(texts, keys)
  let last = ''
  store.beforeWrite = async (name, version) => {
    if (name !== epochName(0) || version !== texts.length + 1) return
    store.beforeWrite = () => undefined
    last = await logIn(store, keys).append(bytesOf(String(texts.length + 1)))
  }
  await log.reseal({ atLeast: positions.at(-1)!, leaveOut: [positions[0]!] })
  return { store, positions, last }
}
