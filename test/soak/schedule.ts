// Chooses what a worker does next: a kind of operation by its weight, and an entity that it fits. It gives out what the
// model knows of the entity.
import { generateTypedKey } from 'keystrata/client'
import { generateRecoveryCode } from 'keystrata/recovery'
import type { ArchiveModel } from './archive-model.ts'
import { ClientModel, type Entity, KeysetModel, UserModel } from './entities.ts'
import { now } from './journal.ts'
import type { Model } from './model.ts'
import type { Random } from './random.ts'
import type { Op, RecoveryGiven, Task } from './tasks.ts'

/** How often each operation is chosen, among those that fit. */
const WEIGHTS: Readonly<Partial<Record<Op, number>>> = {
  'user.sign-up': 3,
  'user.create-vault': 3,
  'user.back-up': 14,
  'user.read': 5,
  'user.rotate': 2,
  'user.change-password': 1.5,
  'user.reset-by-admin': 1,
  'user.reset-by-code': 1,
  'user.change-recovery': 1,
  'user.old-password': 0.5,
  'client.enrol': 1,
  'client.back-up': 10,
  'client.read': 4,
  'client.safeguard': 1.5,
  'client.recover': 1,
  'client.wrong-key': 0.5,
  'client.remove': 0.2,
  'client.refused': 0.5,
  'keyset.create': 2,
  'keyset.back-up': 14,
  'keyset.read': 4,
  'keyset.change-password': 1,
  'keyset.new-master': 0.7,
  'keyset.replace-keys': 1,
  'keyset.add-slot': 1.5,
  'keyset.test-slot': 2,
  'keyset.remove-slot': 0.7,
  'keyset.recover': 0.7,
  'keyset.old-password': 0.5,
  'share.create': 1.5,
  'share.back-up': 7,
  'share.add': 1.5,
  'share.read': 4,
  'share.revoke': 0.6,
  'share.refused': 0.4,
}

/** Operations for which nobody else may change the same entity. Others still read it, and back up into it. */
const EXCLUSIVE: ReadonlySet<Op> = new Set<Op>([
  ...(['user.change-password', 'user.reset-by-admin', 'user.reset-by-code', 'user.change-recovery'] as const),
  ...(['client.enrol', 'client.safeguard', 'client.remove'] as const),
  ...(['keyset.change-password', 'keyset.new-master', 'keyset.replace-keys'] as const),
  ...(['keyset.add-slot', 'keyset.remove-slot', 'keyset.recover', 'share.revoke'] as const),
  ...(['user.sign-up', 'keyset.create'] as const),
])

/** Operations that seal with a host export, or with a keyset that was opened before. */
const OF_HOSTS: ReadonlySet<Op> = new Set<Op>(['keyset.back-up', 'share.back-up', 'share.add', 'share.refused'])

const MOST_LIVE = { user: 8, client: 6, keyset: 6 }
const MOST_RECORDS = 40
const MOST_VAULTS = 3
const MOST_SHARES = 3
const MOST_SLOTS = 3

export class Schedule {
  readonly #model: Model
  readonly #random: Random
  #tasks = 0
  #names = 0

  constructor(model: Model, random: Random) {
    this.#model = model
    this.#random = random
  }

  /** Returns the next task. There always is one: somebody can sign up, or nothing is free, and undefined is returned. */
  next(): Task | undefined {
    for (let tries = 0; tries < 40; tries++) {
      const task = this.#try(this.#choose())
      if (task !== undefined) return task
    }
    return undefined
  }

  /** Takes note that a task has ended, or its process was killed. */
  end(task: Task): void {
    const entity = this.#entityOf(task)
    if (entity === undefined) return
    if (entity.exclusive === task.id) {
      entity.exclusive = undefined
      entity.changedAt = now()
    }
    if (entity instanceof KeysetModel) entity.hosts.delete(task.id)
  }

  #entityOf({ user, client, keyset }: Task): Entity | undefined {
    return this.#model.entities.get(
      user?.name ?? keyset?.name ?? (client === undefined ? '' : `${client.account} ${client.name}`),
    )
  }

  #choose(): Op {
    const entries = Object.entries(WEIGHTS) as [Op, number][]
    let left = this.#random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [op, weight] of entries) if ((left -= weight) < 0) return op
    return 'user.back-up'
  }

  #live<E extends Entity>(kind: abstract new (...given: never[]) => E): E[] {
    const found = [...this.#model.entities.values()].filter((each): each is E => each instanceof kind)
    return found.filter(({ life }) => life === 'live' || life === 'begun')
  }

  /** Returns the live entities of a kind, and lets one make room that is full. */
  #hasRoom(entities: readonly Entity[], most: number): boolean {
    if (entities.length < most) return true
    const full = entities.find(
      (each) => each.life === 'live' && each.exclusive === undefined && each.isFull(MOST_RECORDS),
    )
    if (full === undefined) return false
    full.life = 'closed'
    return true
  }

  #try(op: Op): Task | undefined {
    const [kind] = op.split('.')
    const at = now()
    const made =
      kind === 'user' ? this.#ofUser(op, at) : kind === 'client' ? this.#ofClient(op) : this.#ofKeyset(op, at)
    if (made === undefined) return undefined
    const { entity, ...given } = made
    if (EXCLUSIVE.has(op) && entity.exclusive !== undefined) return undefined
    const task: Task = { id: ++this.#tasks, op, seed: this.#random.below(2 ** 31), since: at, ...given }
    if (EXCLUSIVE.has(op)) entity.exclusive = task.id
    if (OF_HOSTS.has(op) && entity instanceof KeysetModel) entity.hosts.add(task.id)
    return task
  }

  #name(kind: string): string {
    return `${kind}-${++this.#names}`
  }

  #password(): string {
    return `password ${this.#random.below(2 ** 31)} of ${++this.#names}`
  }

  #recovery(): RecoveryGiven {
    return this.#random.pick(['admin', 'admin', 'nobody', `code ${generateRecoveryCode()}`] as const)!
  }

  /** Zero trust stays. A password that the admin knows must change before the user can set a recovery key. */
  #nextRecovery({ recovery, isKnownToAdmin }: UserModel): RecoveryGiven {
    const next = this.#recovery()
    if (next === 'admin' && recovery !== 'admin') return 'nobody'
    return next.startsWith('code') && isKnownToAdmin ? 'nobody' : next
  }

  #canGrow(archive: ArchiveModel | undefined): boolean {
    return archive !== undefined && archive.size < MOST_RECORDS
  }

  #ofUser(op: Op, at: number): Given | undefined {
    const live = this.#live(UserModel)
    if (op === 'user.sign-up') {
      if (!this.#hasRoom(live, MOST_LIVE.user)) return undefined
      const entity = new UserModel(this.#name('user'), this.#password(), this.#recovery(), this.#random.happens(0.5))
      this.#model.add(entity)
      return { entity, user: entity.given(), next: entity.password.possible[0]! }
    }
    const entity = this.#random.pick(live.filter(({ life }) => life === 'live'))
    if (entity === undefined) return undefined
    const user = entity.given()
    const { isSure } = entity.password
    switch (op) {
      case 'user.create-vault':
        return entity.vaults.size + entity.unsureVaults < MOST_VAULTS ? { entity, user } : undefined
      case 'user.back-up':
      case 'user.read': {
        const vault = this.#random.pick([...entity.vaults])
        if (vault === undefined) return undefined
        if (op === 'user.back-up' && !this.#canGrow(entity.archives.get(entity.archiveKey(vault)))) return undefined
        return { entity, user, target: vault }
      }
      case 'user.change-password':
        return entity.password.isSettled(at) ? { entity, user, next: this.#password() } : undefined
      case 'user.reset-by-admin':
        return isSure && entity.isRecoverySure && entity.recovery === 'admin'
          ? { entity, user, next: this.#password() }
          : undefined
      case 'user.reset-by-code':
        return isSure && entity.isRecoverySure && entity.recovery.startsWith('code')
          ? { entity, user, next: this.#password() }
          : undefined
      case 'user.change-recovery':
        return isSure && entity.isRecoverySure ? { entity, user, next: this.#nextRecovery(entity) } : undefined
      case 'user.old-password':
        return entity.password.past.length > 0 ? { entity, user } : undefined
      default:
        return { entity, user }
    }
  }

  #ofClient(op: Op): Given | undefined {
    const live = this.#live(ClientModel)
    if (op === 'client.enrol') {
      if (!this.#hasRoom(live, MOST_LIVE.client)) return undefined
      return this.#newClient(live)
    }
    if (op === 'client.refused') {
      const removed = [...this.#model.entities.values()].filter((each) => each instanceof ClientModel && each.isRemoved)
      const entity = this.#random.pick(removed.filter(({ life }) => life === 'closed')) as ClientModel | undefined
      return entity && { entity, client: entity.given() }
    }
    const entity = this.#random.pick(live.filter(({ life }) => life === 'live'))
    if (entity === undefined) return undefined
    const client = entity.given()
    const isAllowed = entity.safeguarding === 'optional' || entity.codes.some(({ isSure }) => isSure)
    const scope = entity.keys.accountKey !== undefined && this.#random.happens(0.4) ? 'account' : 'private'
    switch (op) {
      case 'client.back-up':
        // One that must deposit its keys first tries, and is refused.
        if (!isAllowed && entity.codes.length > 0) return undefined
        return this.#canGrow(entity.archives.get(entity.archiveKey(scope)))
          ? { entity, client, target: scope }
          : undefined
      case 'client.read':
        return isAllowed && entity.isLocked ? { entity, client, target: scope } : undefined
      case 'client.recover':
        return entity.codes.some(({ isSure }) => isSure) && entity.exclusive === undefined && entity.isLocked
          ? { entity, client, target: scope }
          : undefined
      case 'client.wrong-key':
        return entity.impostor !== undefined && entity.isLocked && isAllowed && entity.exclusive === undefined
          ? { entity, client }
          : undefined
      default:
        return { entity, client }
    }
  }

  /** Half of the accounts have an account key. Of those with a registry that asks for it, each client deposits its keys. */
  #newClient(live: readonly ClientModel[]): Given {
    // An account without an account key has one client.
    const complete = live.filter(({ keys }) => keys.accountKey !== undefined)
    const sibling = this.#random.happens(0.5) ? this.#random.pick(complete) : undefined
    const accountKey = this.#random.happens(0.5) ? generateTypedKey('AES-128').text : undefined
    const safeguarding = this.#random.happens(0.5) ? 'optional' : 'mandatory'
    const entity = new ClientModel(
      sibling?.account ?? this.#name('account'),
      this.#name('client'),
      sibling?.safeguarding ?? safeguarding,
      {
        privateKey: generateTypedKey('AES-256').text,
        accountKey: sibling === undefined ? accountKey : sibling.keys.accountKey,
      },
    )
    this.#model.add(entity)
    return { entity, client: entity.given() }
  }

  #ofKeyset(op: Op, at: number): Given | undefined {
    const live = this.#live(KeysetModel)
    if (op === 'keyset.create') {
      if (!this.#hasRoom(live, MOST_LIVE.keyset)) return undefined
      const place = this.#random.happens(0.5) ? 'postgres' : 's3'
      const entity = new KeysetModel(this.#name('keyset'), this.#password(), place)
      this.#model.add(entity)
      const options = {
        encryption: this.#random.happens(0.7) ? 'x25519' : 'hybrid',
        dedup: this.#random.pick(['scoped', 'scoped', 'global', 'off'])!,
      }
      return { entity, keyset: entity.given(), next: entity.password.possible[0]!, options }
    }
    const others = live.filter(({ life }) => life === 'live')
    const entity = this.#random.pick(others)
    if (entity === undefined) return undefined
    const keyset = entity.given()
    if (op.startsWith('share.')) return this.#ofShare(op, entity, others)
    const { isSure } = entity.password
    const active = keyset.slots
    switch (op) {
      case 'keyset.back-up':
        return this.#canGrow(entity.archives.get(entity.archiveKey)) ? { entity, keyset } : undefined
      case 'keyset.change-password':
      case 'keyset.new-master':
        return entity.password.isSettled(at) ? { entity, keyset, next: this.#password() } : undefined
      case 'keyset.replace-keys':
        return isSure ? { entity, keyset } : undefined
      case 'keyset.add-slot':
        return active.length < MOST_SLOTS && isSure ? { entity, keyset, next: generateRecoveryCode() } : undefined
      case 'keyset.test-slot':
        return active.length + keyset.removedSlots.length > 0 && entity.exclusive === undefined && isSure
          ? { entity, keyset }
          : undefined
      case 'keyset.remove-slot':
        return active.length > 1 && isSure ? { entity, keyset, target: this.#random.pick(active)!.code } : undefined
      case 'keyset.recover':
        return active.length > 0 && isSure ? { entity, keyset, next: this.#password() } : undefined
      case 'keyset.old-password':
        return entity.password.past.length > 0 ? { entity, keyset } : undefined
      default:
        return { entity, keyset }
    }
  }

  #ofShare(op: Op, entity: KeysetModel, live: readonly KeysetModel[]): Given | undefined {
    const keyset = entity.given()
    const active = [...entity.shares.values()].filter(({ state }) => state === 'active')
    if (op === 'share.create') {
      const other = this.#random.pick(live.filter((each) => each !== entity))
      if (other === undefined || active.length >= MOST_SHARES) return undefined
      return { entity, keyset, other: other.given() }
    }
    if (op === 'share.refused') {
      const share = this.#random.pick([...entity.shares.values()].filter(({ state }) => state === 'removed'))
      return share && { entity, keyset, target: share.id }
    }
    const share = this.#random.pick(active)
    if (share === undefined) return undefined
    const isWriting = op === 'share.back-up' || op === 'share.add'
    if (isWriting && !this.#canGrow(entity.archives.get(entity.shareKey(share.id)))) return undefined
    const other = this.#model.entities.get(share.recipient)
    if (!(other instanceof KeysetModel)) return undefined
    return { entity, keyset, target: share.id, other: other.given() }
  }

  /** Returns what to look at in an audit of these logs. {@link auditTask} makes a task of each when its turn comes. */
  audits(keys: ReadonlySet<string>): Audit[] {
    const audits: Audit[] = []
    const prefixes: Set<string> = new Set()
    for (const entity of this.#model.entities.values()) {
      const logs = [...entity.archives.keys()].filter((key) => keys.has(key))
      if (logs.length === 0 || (entity.life !== 'live' && entity.life !== 'closed')) continue
      for (const key of logs) audits.push({ entity, key })
      const other = entity instanceof UserModel ? 'user.old-password' : 'keyset.old-password'
      const ops: Op[] = entity instanceof ClientModel ? ['client.refused'] : [other]
      if (entity instanceof KeysetModel) ops.push('keyset.test-slot', 'keyset.test-slot')
      for (const op of ops) audits.push({ entity, op })
      if (!prefixes.has(prefixOf(entity))) audits.push({ entity, op: 'blocks.check' })
      prefixes.add(prefixOf(entity))
    }
    return audits
  }

  auditTask({ entity, key, op }: Audit): Task | undefined {
    const base = { id: ++this.#tasks, seed: this.#random.below(2 ** 31), since: now() }
    if (key !== undefined) return auditOf(entity, key, base, this.#model)
    if (op === 'blocks.check') return { ...base, op, target: prefixOf(entity) }
    if (entity instanceof UserModel && entity.password.past.length > 0)
      return { ...base, op: 'user.old-password', user: entity.given() }
    if (entity instanceof ClientModel && entity.isRemoved && entity.life === 'closed')
      return { ...base, op: 'client.refused', client: entity.given() }
    if (!(entity instanceof KeysetModel)) return undefined
    const keyset = entity.given()
    const fits =
      op === 'keyset.old-password'
        ? keyset.past.length > 0
        : entity.exclusive === undefined &&
          entity.password.isSure &&
          keyset.slots.length + keyset.removedSlots.length > 0
    return fits ? { ...base, op: op!, keyset } : undefined
  }
}

/** A log to read as a whole, or something else to try. */
export interface Audit {
  readonly entity: Entity
  readonly key?: string
  readonly op?: Op
}

interface Given extends Omit<Task, 'id' | 'op' | 'seed' | 'since'> {
  readonly entity: Entity
}

function prefixOf(entity: Entity): string {
  if (entity instanceof ClientModel) return `client-${entity.account}/`
  return `${entity instanceof UserModel ? 'user' : 'keyset'}-${entity.name}/`
}

function auditOf(
  entity: Entity,
  key: string,
  base: Pick<Task, 'id' | 'seed' | 'since'>,
  model: Model,
): Task | undefined {
  if (entity instanceof UserModel) {
    const target = [...entity.vaults].find((id) => entity.archiveKey(id) === key)
    return target === undefined ? undefined : { ...base, op: 'user.read', user: entity.given(), target }
  }
  if (entity instanceof ClientModel) {
    if (!entity.isLocked || entity.saved === '') return undefined
    const target = entity.archiveKey('private') === key ? 'private' : 'account'
    return { ...base, op: 'client.read', client: entity.given(), target }
  }
  if (!(entity instanceof KeysetModel)) return undefined
  if (entity.archiveKey === key) return { ...base, op: 'keyset.read', keyset: entity.given() }
  const share = [...entity.shares.values()].find(({ id }) => entity.shareKey(id) === key)
  const other = share && model.entities.get(share.recipient)
  if (share === undefined || !(other instanceof KeysetModel)) return undefined
  return { ...base, op: 'share.read', keyset: entity.given(), target: share.id, other: other.given() }
}
