// Who uses a log in the models: hosts that append, and owners that read and reseal. Their keys are those of keysets, or
// cheap ones: what the models explore does not depend on cryptography, and without it they explore much more.
import { createHash } from 'node:crypto'
import { equalBytes } from '../../src/core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../../src/core/errors.ts'
import { Suite } from '../../src/core/suite.ts'
import { type Keyset, openWriter, type RecordReader, type RecordWriter } from '../../src/index.ts'
import { type RecordKeys, setRecordKeys } from '../../src/state/record.ts'
import { draftRecord, type ParsedRecord, type RecordBytes, type RecordFields } from '../../src/state/record-layout.ts'
import { sample } from '../fixtures.ts'

/** A handle that can do everything with a log. */
export type OwnerHandle = RecordWriter & RecordReader

/** One owner's handles under one key pair. */
export interface Pair {
  readonly owner: OwnerHandle
  /** Appends, and can neither read nor reseal. */
  readonly host: RecordWriter
}

/** An owner, and another one who has adopted the first. */
export interface People {
  /** The owner's pairs. The log is under the first one. */
  readonly pairs: readonly Pair[]
  /** The adopter's pairs. */
  readonly adopter: readonly Pair[]
}

const PAIRS = 4
const TAG_BYTES = 32

interface CheapPair {
  readonly ownerId: Uint8Array
  readonly keyId: Uint8Array
}

const cheapPairs = (owner: number): CheapPair[] =>
  Array.from({ length: PAIRS }, (_, pair) => ({
    ownerId: sample(16, 1000 + owner),
    keyId: sample(16, 10 * owner + pair),
  }))

let ids = 0

/** Each id is another one. */
function nextId(): Uint8Array<ArrayBuffer> {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(0, ++ids)
  return id
}

/** Where content begins: behind what a vault has before it. */
const startOf = ({ kind }: Pick<RecordFields, 'kind'>): number => (kind === 'content' ? 80 : 0)

const tagOf = (record: RecordBytes): Uint8Array => createHash('sha256').update(record.message(TAG_BYTES)).digest()

function encoded(
  pair: CheapPair,
  fields: RecordFields,
  logId: Uint8Array,
  content: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const start = startOf(fields)
  const draft = draftRecord(fields, { suite: Suite.vaultRecord, ...pair }, logId, start + content.length + TAG_BYTES)
  draft.body.set(content, start)
  draft.body.set(tagOf(draft), start + content.length)
  return new Uint8Array(draft.bytes)
}

/**
 * Keys that protect nothing. Records have a checksum, so that damage is noticed. As in a keyset, everybody can check the
 * records of the owner and of adopted owners, whatever pair they are under.
 */
function cheapKeys(pair: CheapPair, adopted: CheapPair | undefined, isHost: boolean): RecordKeys {
  const contentOf = (record: ParsedRecord) => record.encoded.body.subarray(startOf(record), -TAG_BYTES)
  const isAdopted = (id: Uint8Array) => adopted !== undefined && equalBytes(id, adopted.ownerId)
  return {
    ownerId: pair.ownerId,
    isAdopted,
    verify: ({ header, encoded }) => {
      if (!equalBytes(header.ownerId, pair.ownerId) && !isAdopted(header.ownerId))
        throw new KeystrataError('key-not-found')
      if (encoded.body.length < TAG_BYTES || !equalBytes(tagOf(encoded), encoded.body.subarray(-TAG_BYTES)))
        throw authenticationFailed()
    },
    markerContent: contentOf,
    isCurrent: ({ header }) => equalBytes(header.keyId, pair.keyId) && equalBytes(header.ownerId, pair.ownerId),
    write: { createId: nextId, seal: async (fields, logId, content) => encoded(pair, fields, logId, content) },
    open: isHost ? undefined : async (record) => new Uint8Array(contentOf(record)),
    marker: isHost ? undefined : () => (fields, logId, content) => encoded(pair, fields, logId, content),
  }
}

/** Returns a handle with these keys. */
export function handleOf(keys: RecordKeys): OwnerHandle {
  const handle = {}
  setRecordKeys(handle, () => keys)
  return handle as OwnerHandle
}

/** Returns people with cheap keys. `changed` may break what these can do. */
export function cheapPeople(changed: (keys: RecordKeys) => RecordKeys = (keys) => keys): People {
  const [own, others] = [cheapPairs(1), cheapPairs(2)]
  const pairOf = (pair: CheapPair, adopted?: CheapPair): Pair => ({
    owner: handleOf(changed(cheapKeys(pair, adopted, false))),
    host: handleOf(changed(cheapKeys(pair, adopted, true))),
  })
  return { pairs: own.map((pair) => pairOf(pair)), adopter: others.map((pair) => pairOf(pair, own[0])) }
}

/** Returns people whose keys are those of keysets. */
export function keysetPeople(first: Keyset, other: Keyset): People {
  const pairsOf = (keyset: Keyset): Pair[] => {
    const keysets = [keyset]
    while (keysets.length < PAIRS) keysets.push(keysets.at(-1)!.regenerate())
    return keysets.map((each) => ({ owner: each, host: openWriter(each.export('host')) }))
  }
  return { pairs: pairsOf(first), adopter: pairsOf(other.adopt(first)) }
}

/** Returns people of the log of one share: its hosts, and a recipient who reads it. Nobody reseals it. */
export function sharePeople(first: Keyset, recipient: Keyset): People {
  const { keyset, share } = first.createShare()
  const writer = openWriter(keyset.export('host'))
  const reader = recipient.acceptShare(share.invite(recipient.card()), first.card())
  const pair: Pair = { owner: reader as unknown as OwnerHandle, host: writer.share(share.id) }
  const pairs = Array.from({ length: PAIRS }, () => pair)
  return { pairs, adopter: pairs }
}
