// Reads the frozen vectors of records, of whole logs and of the packs of vaults and scopes with the
// library (§7, §10.6). second-reader.test.ts reads them with the readers written from SPEC.md alone.
import { describe, expect, it } from 'vitest'
import { type LogReader, openLog, parseCard, type RecordReader, unlockKeyset } from '../../src/index.ts'
import { sha256 } from '../../src/primitives/hash.ts'
import { recordKeysOf } from '../../src/state/record.ts'
import { logIdOf, parseRecord } from '../../src/state/record-layout.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { hex, unhex, withRandomness } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { scopeOwner } from '../spec-reader-client.ts'
import type { LogKeys } from '../spec-reader-log.ts'
import * as specReader from '../spec-reader-record.ts'
import { check, openKeyset } from '../spec-reader.ts'
import { handleOf } from './owners.ts'
import {
  inviteVectors,
  keysetVectors,
  type LogVector,
  logVectors,
  outcome,
  ownedPackVectors,
  ownedRecordVectors,
  type OwnerVector,
  recordVectors,
  type RecordVector,
  sharedRecordVectors,
} from './vectors.ts'

const keysets = new Map(keysetVectors().map((vector) => [vector.id, vector]))
const invites = new Map(inviteVectors().map((vector) => [vector.id, vector]))
const buffer = (text: string) => Buffer.from(text, 'hex')

// The owners, for the library.
async function keysetOf(id: string) {
  const { export: bytes, password } = keysets.get(id)!
  return unlockKeyset(unhex(bytes), password)
}
async function sharedOf(id: string) {
  const { keyset, card, invite } = invites.get(id)!
  return (await keysetOf(keyset)).acceptShare(unhex(invite), parseCard(unhex(card)))
}

/** §7.2 The scope `public` and scopes under DES-56 have no records. */
function readOwner(owner: OwnerVector): LogKeys & { keys: specReader.SharedKey } {
  check(owner.kind !== 'public' && !(owner.kind === 'private' && owner.type === 4), 'policy')
  const key = buffer(owner.key)
  if (owner.kind === 'vault') {
    const id = buffer(owner.id)
    return { keys: specReader.vaultKeys(id, key), own: id, adopted: [] }
  }
  const id = scopeOwner(key, owner.account, owner.kind)
  return { keys: specReader.scopeKeys(id, key), own: id, adopted: [] }
}

const linkOf = (after: string | null) => (after === null || after === 'start' ? after : unhex(after))

/** Opens the record of a vector. */
async function compare(vector: RecordVector, reader: () => Promise<RecordReader>): Promise<void> {
  const { log, record, expect: expected, kind, position, epoch, sequence, content } = vector
  const fields = { kind, position, epoch, sequence, content }
  const after = linkOf(vector.after)
  const ours = outcome(async () => {
    const opened = await (await reader()).openRecord(unhex(record), { log, after: after ?? 'unchecked' })
    const parsed = parseRecord(opened.record, logIdOf(log))
    const place = { epoch: parsed.epoch, sequence: parsed.sequence }
    expect({ kind: opened.kind, position: opened.position, ...place, content: hex(opened.content) }).toEqual(fields)
  })
  expect(await ours).toBe(expected)
}

describe('record.json', () => {
  it.each(recordVectors())('$id: $comment', async ({ keyset, ...vector }) => {
    await compare(vector, () => keysetOf(keyset))
  })

  it('both readers make the same id from the same random bytes', async () => {
    const vector = recordVectors().find(({ random }) => random !== undefined)!
    const [random] = vector.random!
    const { createId } = recordKeysOf(await keysetOf(vector.keyset))().write!
    const content = unhex(vector.content)
    const ours = withRandomness([unhex(random!)], () => createId(logIdOf(vector.log), sha256(content)))
    const { export: bytes, password } = keysets.get(vector.keyset)!
    const { seed } = openKeyset(unhex(bytes), password).sourceSigning
    const theirs = specReader.hedgedId(seed, buffer(random!), specReader.logIdOf(vector.log), Buffer.from(content))
    expect([hex(ours), hex(theirs)]).toEqual(Array(2).fill(vector.position.split('-')[1]))
  })
})

describe('shared-record.json', () => {
  it.each(sharedRecordVectors())('$id: $comment', async ({ invite, ...vector }) => {
    await compare(vector, () => sharedOf(invite))
  })
})

describe('owned-record.json', () => {
  it.each(ownedRecordVectors())('$id: $comment', async ({ owner, ...vector }) => {
    await compare(vector, async () => handleOf(owner))
  })

  const made = ownedRecordVectors().filter(({ random }) => random !== undefined)
  it.each(made)('$id: both readers make the same record from the same random bytes', async ({ owner, ...vector }) => {
    const [ofId, ofNonce] = vector.random!
    const content = unhex(vector.content)
    const place = { log: vector.log, after: 'start' } as const
    const parts = [unhex(ofId!), unhex(ofNonce!)]
    const ours = await withRandomness(parts, () => handleOf(owner).sealRecord(content, place))
    expect(hex(ours.record)).toBe(vector.record)
    const { keys } = readOwner(owner)
    const logId = specReader.logIdOf(vector.log)
    const id = specReader.hedgedId(keys.key, buffer(ofId!), logId, Buffer.from(content))
    const bytes = buffer(vector.record)
    expect(bytes.subarray(64, 80).equals(id)).toBe(true)
    const stored = [bytes.subarray(0, 48), bytes.subarray(48, 112)] as const
    const n = specReader.hedgedNonce(keys.key, buffer(ofNonce!), Buffer.from(content), ...stored, logId)
    expect(bytes.subarray(112, 144).equals(n)).toBe(true)
  })
})

describe('log.json', () => {
  withoutPauses()

  /** Returns a store that has these versions, and has lost those between them. */
  async function storeWith(objects: LogVector['objects']): Promise<StateStore> {
    const store = memoryStateStore()
    for (const [name, versions] of Object.entries(objects)) {
      const numbers = Object.keys(versions).map(Number)
      const lowest = Math.min(...numbers)
      for (let version = 1; version <= Math.max(...numbers); version++)
        await store.write(name, version, unhex(versions[version] ?? ''))
      await store.drop(name, lowest)
    }
    const isThere = (name: string, version: number) => objects[name]?.[version] !== undefined
    return {
      ...store,
      readVersion: async (name, version) => (isThere(name, version) ? store.readVersion(name, version) : undefined),
      async *readVersions(name, from) {
        for await (const found of store.readVersions!(name, from)) if (isThere(name, found.version)) yield found
      },
    }
  }
  async function readerOf({ owner }: LogVector): Promise<RecordReader> {
    if (owner.kind === 'keyset') return keysetOf(owner.keyset)
    return owner.kind === 'share' ? sharedOf(owner.invite) : handleOf(owner)
  }

  it.each(logVectors())('$id: $comment', async (vector) => {
    const { log, objects, atLeast, records, expect: expected } = vector
    const options = atLeast === undefined ? {} : { atLeast }
    const ours = outcome(async () => {
      const opened: LogReader = openLog(await storeWith(objects), log, await readerOf(vector))
      const read: unknown[] = []
      for await (const { position, content } of opened.read(options)) read.push({ position, content: hex(content) })
      expect(read).toEqual(records)
      const last = await opened.last(options)
      expect(last && { position: last.position, content: hex(last.content) }).toEqual(records.at(-1))
    })
    expect(await ours).toBe(expected)
  })
})

describe('owned-pack.json', () => {
  it.each(ownedPackVectors())('$id: $comment', async ({ owner, files, pack, members }) => {
    const ours = await handleOf(owner).pack(files.map(unhex))
    expect({ pack: hex(ours.content), members: ours.members }).toEqual({ pack, members })
  })
})
