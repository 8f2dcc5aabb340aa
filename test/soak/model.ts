// The reference model of a soak. It follows the journals of all processes, and says what is wrong with what they saw.
import { ArchiveModel } from './archive-model.ts'
import { ClientModel, type Entity, KeysetModel, UserModel } from './entities.ts'
import type { Facts, Line } from './journal.ts'
import type { RecoveryGiven, Task } from './tasks.ts'

type Intent = Extract<Line, { kind: 'intent' }>

/** Operations that may be refused although nothing is wrong, when another task has changed the entity meanwhile. */
const WHEN_CHANGED: ReadonlySet<string> = new Set([
  '401',
  'wrong-password',
  'key-not-found',
  'stale-export',
  'key-changed',
])

export class Model {
  readonly entities: Map<string, Entity> = new Map()
  readonly violations: string[] = []
  readonly #hear: (violation: string) => void
  readonly #open: Map<string, { intent: Intent; worker: string }> = new Map()
  readonly #archives: Map<string, ArchiveModel> = new Map()
  /** When the tasks that have not ended began, by their number. */
  readonly #since: Map<number, number> = new Map()

  /** @param hear is told of each violation at once */
  constructor(hear: (violation: string) => void = () => undefined) {
    this.#hear = hear
  }

  add(entity: Entity): void {
    this.entities.set(entity.name, entity)
    for (const [key, archive] of entity.archives) this.#archives.set(key, archive)
  }

  begin({ id, since }: Task): void {
    this.#since.set(id, since)
  }

  end(task: number): void {
    this.#since.delete(task)
  }

  get archives(): ReadonlyMap<string, ArchiveModel> {
    return this.#archives
  }

  complain(what: string): void {
    this.violations.push(what)
    this.#hear(what)
  }

  /** Takes a line of the journal of a process. */
  apply(worker: string, line: Line): void {
    switch (line.kind) {
      case 'intent':
        this.#open.set(line.id, { intent: line, worker })
        {
          this.#begin(line)
          return
        }
      case 'ack':
      case 'refused':
      case 'lost': {
        const found = this.#open.get(line.id)
        if (found === undefined) {
          this.complain(`${line.id} has ended, but was not begun`)
          return
        }
        this.#open.delete(line.id)
        if (line.kind === 'ack') this.#acknowledge(found.intent, line.facts, line.at)
        // After a conflict the last attempt has not happened. One before it may have.
        else this.#fail(found.intent, line.at, line.kind === 'refused' && line.code !== 'conflict')
        return
      }
      case 'reading': {
        const archive = this.#archives.get(line.archive)
        if (archive === undefined) {
          this.complain(`nobody wrote ${line.archive}`)
          return
        }
        for (const wrong of archive.check(line)) this.complain(`${line.archive}: ${wrong}`)
        return
      }
      case 'seen': {
        this.#see(line)
        return
      }
      case 'wrong': {
        this.complain(line.what)
        return
      }
    }
  }

  /** A process was killed: what it had begun may or may not happen. */
  killed(worker: string, at: number): void {
    for (const [id, { intent, worker: by }] of this.#open)
      if (by === worker) {
        this.#open.delete(id)
        this.#fail(intent, at, false)
      }
  }

  /** Whether a refusal says nothing about the library: others were quicker. */
  isExpected(task: Task, entity: Entity, code: string): boolean {
    if (code === 'conflict') return true
    const names = [entity, task.other === undefined ? undefined : this.entities.get(task.other.name)]
    const isChanged = names.some((each) => each?.wasChangedSince(task.since) ?? false)
    const isUnsure = names.some((each) => each !== undefined && !isSure(each))
    if ((isChanged || isUnsure) && WHEN_CHANGED.has(code)) return true
    // A service that was started again has no sessions of clients.
    return code === '401' && task.client !== undefined
  }

  #entity({ facts }: Intent): Entity {
    const found = this.entities.get(String(facts['entity']))
    if (found === undefined) throw new TypeError(`the model has no ${String(facts['entity'])}`)
    return found
  }

  #begin(intent: Intent): void {
    const { what, facts, at, task } = intent
    if (what === 'append') {
      const archive = this.#archives.get(String(facts['archive']))!
      archive.begin(String(facts['record']), String(facts['sha']), at, this.#since.get(task) ?? at)
      archive.blocks += Number(facts['blocks'])
      return
    }
    const entity = this.#entity(intent)
    const value = String(facts['value'])
    if (what === 'password') passwordOf(entity).begin(value)
    if (what === 'recovery' && entity instanceof UserModel) entity.isRecoverySure = false
    if (what === 'vault' && entity instanceof UserModel) entity.unsureVaults++
    if (what === 'code' && entity instanceof ClientModel) entity.codes.unshift({ code: value, isSure: false })
    if (what === 'remove' && entity instanceof ClientModel) entity.isRemoved = true
    if (entity instanceof KeysetModel) {
      if (what === 'slot') entity.slots.set(String(facts['code']), { state: 'adding', id: undefined })
      if (what === 'remove-slot') entity.slots.get(String(facts['code']))!.state = 'removing'
      if (what === 'revoke') entity.shares.get(String(facts['share']))!.state = 'removing'
    }
  }

  #acknowledge(intent: Intent, answer: Facts, at: number): void {
    const { what, facts } = intent
    if (what === 'append') {
      const archive = this.#archives.get(String(facts['archive']))!
      const wrong = archive.acknowledge(String(facts['record']), String(answer['position']), at)
      if (wrong !== undefined) this.complain(`${String(facts['archive'])}: ${wrong}`)
      return
    }
    const entity = this.#entity(intent)
    this.#keepRevision(entity, answer)
    if (what === 'create') {
      entity.life = 'live'
      if (entity instanceof KeysetModel) entity.id = String(answer['keyset'])
      if (entity instanceof ClientModel) {
        entity.saved = String(facts['saved'])
        entity.impostor = facts['impostor'] as string | undefined
      }
    }
    if (what === 'password') passwordOf(entity).acknowledge(at)
    if (entity instanceof UserModel) {
      if (what === 'password') entity.isKnownToAdmin = facts['by'] === 'admin'
      if (what === 'recovery') {
        entity.recovery = String(facts['value']) as RecoveryGiven
        entity.isRecoverySure = true
      }
      if (what === 'vault') this.#addVault(entity, String(answer['vault']))
    }
    if (entity instanceof ClientModel) {
      if (what === 'code') entity.codes = [{ code: String(facts['value']), isSure: true }]
      if (what === 'lock') entity.isLocked = true
      if (what === 'remove') entity.life = 'closed'
    }
    if (entity instanceof KeysetModel) {
      if (what === 'slot') entity.slots.set(String(facts['code']), { state: 'active', id: String(answer['slot']) })
      if (what === 'remove-slot') entity.slots.get(String(facts['code']))!.state = 'removed'
      if (what === 'share') this.#addShare(entity, String(facts['recipient']), answer)
      if (what === 'revoke') {
        const id = String(facts['share'])
        entity.shares.get(id)!.state = 'removed'
        entity.archives.get(entity.shareKey(id))!.closedAt = at
      }
    }
  }

  #fail(intent: Intent, at: number, isCertain: boolean): void {
    const { what, facts } = intent
    if (what === 'append') return
    const entity = this.#entity(intent)
    if (what === 'create') entity.life = 'lost'
    if (what === 'password') {
      if (isCertain) passwordOf(entity).refuse(at)
      else passwordOf(entity).lose(at)
    }
    if (what === 'remove' && entity instanceof ClientModel) entity.life = 'lost'
    if (entity instanceof KeysetModel) {
      if (what === 'slot' || what === 'remove-slot') entity.slots.get(String(facts['code']))!.state = 'unsure'
      if (what === 'revoke') entity.shares.get(String(facts['share']))!.state = 'unsure'
    }
  }

  #keepRevision(entity: Entity, { revision, identity }: Facts): void {
    if (typeof revision !== 'string' || !(entity instanceof UserModel || entity instanceof KeysetModel)) return
    // Revisions begin with a number that grows with each change.
    const isNewer = entity.revision === undefined || parseInt(revision) >= parseInt(entity.revision)
    if (isNewer) entity.revision = revision
    if (isNewer && entity instanceof UserModel && typeof identity === 'string') entity.identity = identity
  }

  #addVault(user: UserModel, id: string): void {
    user.unsureVaults--
    if (user.vaults.has(id)) this.complain(`the vault ${id} of ${user.name} was created twice`)
    user.vaults.add(id)
    const archive = new ArchiveModel()
    user.archives.set(user.archiveKey(id), archive)
    this.#archives.set(user.archiveKey(id), archive)
  }

  #addShare(keyset: KeysetModel, recipient: string, answer: Facts): void {
    const id = String(answer['share'])
    keyset.shares.set(id, { id, recipient, invite: String(answer['invite']), state: 'active' })
    const archive = new ArchiveModel()
    keyset.archives.set(keyset.shareKey(id), archive)
    this.#archives.set(keyset.shareKey(id), archive)
  }

  #see({ what, value, since, at, revision }: Extract<Line, { kind: 'seen' }>): void {
    const [kind, name = ''] = what.split(' ')
    const entity = this.entities.get(name)
    if (entity === undefined) {
      this.complain(`nobody created ${name}`)
      return
    }
    if (kind === 'password') {
      const wrong = passwordOf(entity).see(value, since, at)
      if (wrong !== undefined) this.complain(`password of ${name}: ${wrong}`)
      // The change that nobody acknowledged may have happened. Then what machines have saved is out of date.
      if (revision !== undefined) this.#keepRevision(entity, { revision })
      return
    }
    if (kind === 'vaults' && entity instanceof UserModel) {
      const seen = new Set(value.split(' ').filter((id) => id !== ''))
      for (const id of entity.vaults)
        if (!seen.has(id) && !this.#isNewVault(entity, id, since)) this.complain(`the vault ${id} of ${name} is lost`)
      const more = [...seen].filter((id) => !entity.vaults.has(id)).length
      if (more > entity.unsureVaults) this.complain(`${name} has ${more} vaults that nobody began`)
    }
  }

  /** Whether a vault may have been created after somebody looked. */
  #isNewVault(user: UserModel, id: string, since: number): boolean {
    return user.archives.get(user.archiveKey(id))!.createdAt > since
  }
}

const passwordOf = (entity: Entity) => {
  if (entity instanceof UserModel || entity instanceof KeysetModel) return entity.password
  throw new TypeError(`${entity.name} has no password`)
}

const isSure = (entity: Entity): boolean => {
  if (entity instanceof UserModel) return entity.password.isSure && entity.isRecoverySure
  return entity instanceof KeysetModel ? entity.password.isSure : !(entity instanceof ClientModel) || !entity.isRemoved
}
