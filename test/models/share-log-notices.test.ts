// The explorer finds faults that are built into the log of a share: in its hosts, its recipients, and the store.
import { describe, it } from 'vitest'
import { sha256 } from '../../src/primitives/hash.ts'
import { type RecordKeys, recordKeysOf } from '../../src/state/record.ts'
import { logIdOf, parseRecord } from '../../src/state/record-layout.ts'
import type { StateStore } from '../../src/stores.ts'
import { makeKeyset, quickly } from '../fixtures.ts'
import { expectCaught, TIMEOUT } from './expecting.ts'
import { handleOf, type People, sharePeople } from './log-keys.ts'
import { exploreLog, type Scene } from './log-scene.ts'
import { ModelState } from './stores.ts'

const OTHER_LOG = logIdOf('another log')

const people = await quickly(async () => sharePeople(await makeKeyset({ encryption: 'x25519' }), await makeKeyset()))
const [{ host, owner: recipient } = { host: {}, owner: {} }] = people.pairs

const peopleWith = (hostKeys: RecordKeys, recipientKeys: RecordKeys): People => {
  const pairs = people.pairs.map(() => ({ host: handleOf(hostKeys), owner: handleOf(recipientKeys) }))
  return { pairs, adopter: pairs }
}

/** Seals the second record of a log for another one. */
function misplacing(keys: RecordKeys): RecordKeys {
  const { seal } = keys.write!
  const content = new TextEncoder().encode('of another log')
  return {
    ...keys,
    write: {
      ...keys.write!,
      seal: (fields, logId, given, digest) =>
        fields.sequence === 2 ? seal(fields, OTHER_LOG, content, sha256(content)) : seal(fields, logId, given, digest),
    },
  }
}

/** Takes the records of another log, too. */
const credulous = (keys: RecordKeys): RecordKeys => ({
  ...keys,
  verify: () => undefined,
  open: async (record) => {
    const other = parseRecord(record.encoded.bytes, OTHER_LOG)
    return keys.open!(record).catch(() => keys.open!(other))
  },
})

describe('the explorer notices in the log of a share', { timeout: TIMEOUT }, () => {
  const scene: Scene = { isShared: true, people, records: 1, hosts: [1, 1], owners: [], warm: false }

  it('a host that writes nothing if another host was quicker, and takes that for success', async () => {
    const between = (store: StateStore, state: ModelState): StateStore => ({
      ...store,
      write: async (name, version, bytes) =>
        state.object(name).versions.length >= version || store.write(name, version, bytes),
    })
    expectCaught(await exploreLog('share, skipped', { runs: 100, violations: 1 }, { ...scene, between }), /lost/)
  })

  it('a recipient who takes a record of another log', async () => {
    const hostKeys = misplacing(recordKeysOf(host)())
    const readerKeys = recordKeysOf(recipient)()
    const bounds = { runs: 2, violations: 1 }
    const misplaced: Scene = { ...scene, hosts: [1], people: peopleWith(hostKeys, credulous(readerKeys)) }
    expectCaught(await exploreLog('share, credulous', bounds, misplaced), /nobody appended of another log/)
    // A recipient who checks the log refuses the record.
    const refused: Scene = { ...misplaced, people: peopleWith(hostKeys, readerKeys) }
    expectCaught(await exploreLog('share, misplaced', bounds, refused), /read at the end fails.*damaged/)
  })

  it('a store in which two hosts write one version', async () => {
    class Blind extends ModelState {
      override succeeds(): boolean {
        return true
      }
    }
    expectCaught(
      await exploreLog('share, blind', { runs: 100, violations: 1 }, { ...scene, make: Blind }),
      /lost|fails in the end/,
    )
  })
})
