// What the owners, the hosts and the recipients of keysets do. Each machine has the host export in a file of the run,
// and replaces it when it is out of date.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  changeKeyset,
  checkRetired,
  checkWriter,
  createKeyset,
  type Keyset,
  KeystrataError,
  type KeysetWriter,
  loadKeyset,
  openLog,
  openSavedKeyset,
  openWriter,
  rekeyBlocks,
  saveKeyset,
  type SharedReader,
  shareFrom,
} from 'keystrata'
import type { DeviceKey } from 'keystrata/device'
import {
  addSlot,
  deriveRecoveryKey,
  listSlots,
  recoverKeyset,
  removeSlot,
  renewSlots,
  testSlot,
} from 'keystrata/recovery'
import { prefixed, type SharedBlocks, type StateStore } from 'keystrata/stores'
import { appendRecord, journaled, makeFiles, readArchive, sealFiles } from './archive.ts'
import { type Journal, now } from './journal.ts'
import { type Places, replaceFile } from './places.ts'
import { Random } from './random.ts'
import type { KeysetGiven, ShareGiven, Task } from './tasks.ts'

/** The lowest costs that the library accepts for a new hash. */
export const LOWEST_COSTS = { iterations: 2, memoryKiB: 19_456, lanes: 1 }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** Where a keyset keeps its objects and blocks. */
interface Home {
  readonly state: StateStore
  readonly blocks: SharedBlocks
}

export class Keysets {
  readonly #places: Places
  readonly #journal: Journal
  readonly #device: DeviceKey
  /** Waits until every host that began with an earlier export has ended. */
  readonly #drain: (task: Task) => Promise<void>

  constructor(places: Places, journal: Journal, device: DeviceKey, drain: (task: Task) => Promise<void>) {
    this.#device = device
    this.#places = places
    this.#journal = journal
    this.#drain = drain
  }

  async run(task: Task): Promise<void> {
    const given = task.keyset!
    const home = this.homeOf(given)
    const random = new Random(task.seed)
    switch (task.op) {
      case 'keyset.create':
        return this.#create(task, given, home)
      case 'keyset.back-up':
      case 'share.back-up': {
        using writer = await this.#host(task, given, home)
        await this.#backUp(task, given, home, writer, random)
        return
      }
      case 'share.refused': {
        using writer = await this.#host(task, given, home)
        await this.#tryRevoked(task, home, writer, random)
        return
      }
      case 'keyset.old-password':
        return this.#tryOld(task, given, home)
      case 'keyset.test-slot':
        return this.#testSlot(task, given, home)
      case 'keyset.recover':
        return this.#recover(task, given, home)
      case 'share.read':
        return this.#readShare(task, given, home)
    }
    using keyset = await (task.op === 'keyset.read' ? this.#load(task, given, home) : this.#open(task, given, home))
    switch (task.op) {
      case 'keyset.read': {
        await readArchive(this.#journal, task, given, home, keyset, true)
        return
      }
      case 'keyset.change-password': {
        await this.#change(task, given, home, keyset, 'password', { value: task.next! }, async (newest) => ({
          keyset: await newest.changePassword(task.next!, { costs: LOWEST_COSTS }),
        }))
        return
      }
      case 'keyset.new-master': {
        await this.#newMaster(task, given, home, keyset)
        return
      }
      case 'keyset.replace-keys': {
        await this.#replaceKeys(task, given, home, keyset)
        return
      }
      case 'keyset.add-slot': {
        await this.#addSlot(task, given, home, keyset)
        return
      }
      case 'keyset.remove-slot': {
        await this.#removeSlot(task, given, home, keyset)
        return
      }
      case 'share.create': {
        await this.#createShare(task, given, home, keyset)
        return
      }
      case 'share.add': {
        await this.#addToShare(task, given, home, keyset, random)
        return
      }
      case 'share.revoke': {
        await this.#change(task, given, home, keyset, 'revoke', { share: task.target! }, async (newest) => ({
          keyset: newest.revokeShare(task.target!),
        }))
        return
      }
      default:
        throw new TypeError(`${task.op} is not for keysets`)
    }
  }

  homeOf({ name, place }: KeysetGiven): Home {
    return { state: this.#places.state(place, `keyset-${name}/`), blocks: this.#places.blocks(`keyset-${name}/`) }
  }

  /** Opens the keyset that a machine has saved, if it is the newest that is known. Otherwise someone types the password. */
  async #open(task: Task, given: KeysetGiven, home: Home): Promise<Keyset> {
    const file = this.#file(given, 'saved')
    if (given.id !== undefined && given.passwords.length === 1 && existsSync(file)) {
      const saved = openSavedKeyset(new Uint8Array(readFileSync(file)), this.#device, { id: given.id })
      if (saved.revision === given.revision) return saved
      saved.dispose()
    }
    return this.#load(task, given, home)
  }

  /** Unlocks the stored keyset with whichever password is in force. */
  async #load(task: Task, given: KeysetGiven, home: Home): Promise<Keyset> {
    const options = given.revision === undefined ? {} : { atLeast: given.revision }
    for (const password of given.passwords) {
      const since = now()
      try {
        const keyset = await loadKeyset(home.state, password, options)
        const { revision } = keyset
        this.#journal.write({
          ...{ kind: 'seen', task: task.id, what: `password ${given.name}`, since, value: password, revision },
        })
        return keyset
      } catch (error) {
        if (!(error instanceof KeystrataError) || error.code !== 'wrong-password') throw error
      }
    }
    throw new KeystrataError('wrong-password', 'no password of this keyset opens it')
  }

  async #create(task: Task, given: KeysetGiven, home: Home): Promise<void> {
    const { encryption, dedup } = task.options as {
      encryption: 'x25519' | 'hybrid'
      dedup: 'scoped' | 'global' | 'off'
    }
    using keyset = await createKeyset(task.next!, { costs: LOWEST_COSTS, encryption, dedup })
    await journaled(this.#journal, task, 'create', { entity: given.name }, async () => {
      await saveKeyset(home.state, keyset)
      this.#keepExport(given, keyset)
      return { revision: keyset.revision, keyset: keyset.id }
    })
  }

  #file(given: KeysetGiven, kind: 'host' | 'saved'): string {
    return join(this.#places.config.folder, `${given.name}.${kind}`)
  }

  /** Keeps a host export, and the keyset as a machine of its owner saves it, for all processes of the run. */
  #keepExport(given: KeysetGiven, keyset: Keyset): Uint8Array {
    const bytes = keyset.export('host')
    replaceFile(this.#file(given, 'host'), bytes)
    replaceFile(this.#file(given, 'saved'), keyset.save(this.#device))
    return bytes
  }

  /** Opens the host export, or a new one if it is out of date. */
  async #host(task: Task, given: KeysetGiven, home: Home): Promise<KeysetWriter> {
    const file = this.#file(given, 'host')
    if (existsSync(file)) {
      const writer = openWriter(new Uint8Array(readFileSync(file)))
      try {
        await checkWriter(home.state, writer)
        return writer
      } catch (error) {
        writer.dispose()
        if (!(error instanceof KeystrataError) || error.code !== 'stale-export') throw error
      }
    }
    using keyset = await this.#open(task, given, home)
    return openWriter(this.#keepExport(given, keyset))
  }

  async #backUp(task: Task, given: KeysetGiven, home: Home, writer: KeysetWriter, random: Random): Promise<void> {
    const files = makeFiles(random, given.name)
    const isPacked = random.happens(0.4)
    if (task.op === 'keyset.back-up') {
      const items = await sealFiles(home.blocks, writer, files, { isPacked })
      return appendRecord(this.#journal, task, given, home.state, writer, items)
    }
    const share = shareIn(given, task.target!)
    const items = await sealFiles(home.blocks, writer, files, { isPacked, share: share.id })
    await appendRecord(this.#journal, task, share, ownPart(home, share), writer.share(share.id), items)
  }

  /** Changes the stored keyset, and keeps the next host export. */
  async #change(
    task: Task,
    given: KeysetGiven,
    home: Home,
    keyset: Keyset,
    what: string,
    facts: Readonly<Record<string, string>>,
    change: (newest: Keyset) => Promise<{ keyset: Keyset }>,
    after?: (changed: Keyset) => Promise<void>,
  ): Promise<void> {
    await journaled(this.#journal, task, what, { entity: given.name, ...facts }, async () => {
      using changed = (await changeKeyset(home.state, keyset, change)).keyset
      await after?.(changed)
      this.#keepExport(given, changed)
      return { revision: changed.revision }
    })
  }

  /** Replaces the master key. Then the slots are renewed, and the versions under the old one are gone. */
  async #newMaster(task: Task, given: KeysetGiven, home: Home, keyset: Keyset): Promise<void> {
    await this.#change(
      task,
      given,
      home,
      keyset,
      'password',
      { value: task.next! },
      async (newest) => ({ keyset: await newest.changePassword(task.next!, { costs: LOWEST_COSTS, newMaster: true }) }),
      (changed) => this.#renewed(home, changed),
    )
  }

  /** Renews the slots if a machine was killed before it could. */
  async #renewed(home: Home, keyset: Keyset): Promise<void> {
    // With the keyset, it would throw for slots that are not renewed.
    const slots = await listSlots(home.state)
    if (slots.some(({ isCurrent }) => !isCurrent)) await renewSlots(home.state, keyset)
  }

  /** New key pairs: blocks are rekeyed, logs are resealed, and the old pairs are forgotten. */
  async #replaceKeys(task: Task, given: KeysetGiven, home: Home, keyset: Keyset): Promise<void> {
    await journaled(this.#journal, task, 'touch', { entity: given.name }, async () => {
      using regenerated = await changeKeyset(home.state, keyset, (newest) => newest.regenerate())
      this.#keepExport(given, regenerated)
      await this.#drain(task)
      const { failed } = await rekeyBlocks(home.blocks, regenerated)
      for (const { label, error } of failed) {
        this.#journal.write({
          kind: 'wrong',
          task: task.id,
          what: `the block ${label} was not rekeyed: ${error.code} ${error.message}`,
        })
      }
      const log = openLog(home.state, given.log, regenerated)
      const last = await log.last(given.floor === undefined ? {} : { atLeast: given.floor })
      if (last !== undefined) await log.reseal({ atLeast: last.position })
      using forgotten = await changeKeyset(home.state, regenerated, async (newest) => {
        const logs = last === undefined ? [] : [openLog(home.state, given.log, newest)]
        return newest.forgetRetired(await checkRetired(home.blocks, newest, { logs }))
      })
      if (forgotten.retired !== 0)
        this.#journal.write({
          kind: 'wrong',
          task: task.id,
          what: `${given.name} still has ${forgotten.retired} retired pairs`,
        })
      this.#keepExport(given, forgotten)
      return { revision: forgotten.revision }
    })
  }

  async #addSlot(task: Task, given: KeysetGiven, home: Home, keyset: Keyset): Promise<void> {
    await this.#renewed(home, keyset)
    using key = await deriveRecoveryKey({ code: task.next! })
    await journaled(this.#journal, task, 'slot', { entity: given.name, code: task.next! }, async () => {
      const { id } = await addSlot(home.state, keyset, key, { label: 'sheet' })
      return { slot: id }
    })
  }

  async #removeSlot(task: Task, given: KeysetGiven, home: Home, keyset: Keyset): Promise<void> {
    await this.#renewed(home, keyset)
    const { code, id } = given.slots.find((slot) => slot.code === task.target)!
    await journaled(this.#journal, task, 'remove-slot', { entity: given.name, code }, async () => {
      await removeSlot(home.state, keyset, id!)
      return {}
    })
  }

  async #testSlot(task: Task, given: KeysetGiven, home: Home): Promise<void> {
    const removed = new Random(task.seed).pick(given.removedSlots)
    if (removed !== undefined && new Random(task.seed + 1).happens(0.5)) {
      using key = await deriveRecoveryKey({ code: removed })
      const found = await testSlot(home.state, key).catch((error: unknown) => {
        if (!(error instanceof KeystrataError) || (error.code !== 'key-not-found' && error.code !== 'missing'))
          throw error
      })
      if (found !== undefined)
        this.#journal.write({ kind: 'wrong', task: task.id, what: `a removed recovery code still opens ${given.name}` })
      return
    }
    const slot = new Random(task.seed).pick(given.slots)
    if (slot === undefined) return
    using key = await deriveRecoveryKey({ code: slot.code })
    await testSlot(home.state, key)
  }

  /** The password is lost: a code opens the keyset, and sets another password. */
  async #recover(task: Task, given: KeysetGiven, home: Home): Promise<void> {
    const slot = new Random(task.seed).pick(given.slots)!
    using key = await deriveRecoveryKey({ code: slot.code })
    const slots = await testSlot(home.state, key)
    // Until the slots are renewed, a code opens the keyset from before the new master key.
    if (!slots.isCurrent) {
      using keyset = await this.#load(task, given, home)
      await this.#renewed(home, keyset)
    }
    using keyset = await recoverKeyset(home.state, key, given.revision === undefined ? {} : { atLeast: given.revision })
    await this.#change(task, given, home, keyset, 'password', { value: task.next! }, async (newest) => ({
      keyset: await newest.changePassword(task.next!, { costs: LOWEST_COSTS }),
    }))
  }

  async #createShare(task: Task, given: KeysetGiven, home: Home, keyset: Keyset): Promise<void> {
    const other = task.other!
    using recipient = await this.#open(task, other, this.homeOf(other))
    await journaled(this.#journal, task, 'share', { entity: given.name, recipient: other.name }, async () => {
      using created = await changeKeyset(home.state, keyset, (newest) => newest.createShare())
      this.#keepExport(given, created.keyset)
      const invite = created.share.invite(recipient.card())
      return { share: created.share.id, invite: hex(invite), revision: created.keyset.revision }
    })
  }

  /** Adds to a share what the newest record of the keyset's own log names. */
  async #addToShare(task: Task, given: KeysetGiven, home: Home, keyset: Keyset, random: Random): Promise<void> {
    const given2 = shareIn(given, task.target!)
    using share = keyset.share(given2.id)
    const own = await sealFiles(home.blocks, keyset, makeFiles(random, given.name), { isPacked: false })
    const refs: [string, string][] = []
    for await (const ref of shareFrom(
      home.blocks,
      share,
      own.map(([each]) => each),
    ))
      refs.push([ref, own[refs.length]![1]])
    await appendRecord(this.#journal, task, given2, ownPart(home, given2), share, refs)
  }

  async #readShare(task: Task, given: KeysetGiven, home: Home): Promise<void> {
    const share = shareIn(given, task.target!)
    const [ownersHome, recipient] = [home, task.other!]
    using owner = await this.#open(task, given, home)
    using keyset = await this.#open(task, recipient, this.homeOf(recipient))
    using reader: SharedReader = keyset.acceptShare(unhex(share.invite), owner.card())
    const where = { blocks: ownersHome.blocks.shared(share.id), state: ownPart(home, share) }
    await readArchive(this.#journal, task, share, where, reader, true)
  }

  /** A share that was revoked gets no new blocks. */
  async #tryRevoked(task: Task, home: Home, writer: KeysetWriter, random: Random): Promise<void> {
    const sealed = await sealFiles(home.blocks, writer, makeFiles(random, 'revoked'), {
      isPacked: false,
      share: task.target!,
    }).catch((error: unknown) => {
      if (!(error instanceof KeystrataError) || error.code !== 'key-not-found') throw error
    })
    if (sealed !== undefined)
      this.#journal.write({
        kind: 'wrong',
        task: task.id,
        what: `a host seals for the share ${task.target!}, which was revoked`,
      })
  }

  async #tryOld(task: Task, given: KeysetGiven, home: Home): Promise<void> {
    const opened = await loadKeyset(home.state, given.past.at(-1)!).catch((error: unknown) => {
      if (!(error instanceof KeystrataError) || error.code !== 'wrong-password') throw error
    })
    if (opened === undefined) return
    opened.dispose()
    this.#journal.write({
      kind: 'wrong',
      task: task.id,
      what: `the last but one password of ${given.name} still opens it`,
    })
  }
}

function shareIn({ shares }: KeysetGiven, id: string): ShareGiven {
  const share = shares.find((each) => each.id === id)
  if (share === undefined) throw new TypeError(`the task names no share ${id}`)
  return share
}

const ownPart = ({ state }: Home, { id }: ShareGiven): StateStore => prefixed(state, `share/${id}/`)
