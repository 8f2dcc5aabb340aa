// What the reference model knows of users, clients and keysets.
import { ArchiveModel } from './archive-model.ts'
import { Register } from './register.ts'
import type { ClientGiven, KeysetGiven, RecoveryGiven, UserGiven } from './tasks.ts'

/** `begun`: nobody knows yet whether it exists. `lost`: nobody will. `closed`: it is full, and only read. */
export type Life = 'begun' | 'live' | 'lost' | 'closed'

/** An entity that several processes work on at once. Some tasks need it for themselves. */
export abstract class Entity {
  readonly name: string
  life: Life = 'begun'
  /** The task that changes what others rely on: passwords, keys, who is enrolled. */
  exclusive: number | undefined
  /** When such a task last ended. */
  changedAt: number
  readonly archives: Map<string, ArchiveModel> = new Map()

  constructor(name: string) {
    this.name = name
    this.changedAt = -Infinity
  }

  /** Whether others may have changed it since then. */
  wasChangedSince(since: number): boolean {
    return this.exclusive !== undefined || this.changedAt > since
  }

  protected archiveGiven(key: string, log: string): { key: string; log: string; floor: string | undefined } {
    return { key, log, floor: this.archives.get(key)?.floor }
  }

  /** Whether all its logs are so long that others should be written. */
  isFull(most: number): boolean {
    return this.archives.size > 0 && [...this.archives.values()].every(({ size }) => size >= most)
  }
}

export class UserModel extends Entity {
  readonly elsewhere: boolean
  readonly password: Register
  recovery: RecoveryGiven
  /** Whether the last change of it has ended. */
  isRecoverySure = true
  /** Whether the admin has set the password, and the user has not changed it since. */
  isKnownToAdmin = false
  revision: string | undefined
  identity: string | undefined
  readonly vaults: Set<string> = new Set()
  /** How many vaults were begun whose creation was not acknowledged. */
  unsureVaults = 0

  constructor(name: string, password: string, recovery: RecoveryGiven, elsewhere: boolean) {
    super(name)
    this.password = new Register(password)
    this.recovery = recovery
    this.elsewhere = elsewhere
  }

  archiveKey(vault: string): string {
    return `user ${this.name} vault ${vault}`
  }

  given(): UserGiven {
    const { name, elsewhere, revision, identity } = this
    return {
      ...{ name, elsewhere, revision, identity },
      passwords: this.password.possible,
      past: this.password.past,
      recovery: this.recovery,
      vaults: [...this.vaults].map((id) => ({ id, ...this.archiveGiven(this.archiveKey(id), `backups of ${id}`) })),
    }
  }
}

export class ClientModel extends Entity {
  readonly account: string
  readonly client: string
  readonly safeguarding: ClientGiven['safeguarding']
  readonly keys: { readonly privateKey: string; readonly accountKey: string | undefined }
  saved = ''
  impostor: string | undefined
  isLocked = false
  isRemoved = false
  /** Activation codes. After one whose deposit was acknowledged, earlier ones open nothing. */
  codes: { readonly code: string; isSure: boolean }[] = []

  constructor(account: string, client: string, safeguarding: ClientGiven['safeguarding'], keys: ClientModel['keys']) {
    super(`${account} ${client}`)
    this.account = account
    this.client = client
    this.safeguarding = safeguarding
    this.keys = keys
    for (const scope of ['private', 'account'] as const)
      if (scope === 'private' || keys.accountKey !== undefined)
        this.archives.set(this.archiveKey(scope), new ArchiveModel())
  }

  archiveKey(scope: 'private' | 'account'): string {
    return scope === 'private' ? `client ${this.name}` : `account ${this.account} of ${this.client}`
  }

  given(): ClientGiven {
    const { account, client, safeguarding, saved, impostor, isRemoved } = this
    return {
      ...{ account, name: client, safeguarding, saved, impostor, isRemoved, ...this.keys },
      codes: this.codes.map(({ code }) => code),
      archives: {
        private: this.archiveGiven(this.archiveKey('private'), `private of ${client}`),
        account: this.archiveGiven(this.archiveKey('account'), `account, by ${client}`),
      },
    }
  }
}

/** `unsure`: a change of it was lost, so nobody relies on it any more. */
export type State = 'adding' | 'active' | 'removing' | 'removed' | 'unsure'

export interface ShareModel {
  readonly id: string
  readonly recipient: string
  readonly invite: string
  state: State
}

export class KeysetModel extends Entity {
  readonly place: 'postgres' | 's3'
  readonly password: Register
  revision: string | undefined
  id: string | undefined
  readonly shares: Map<string, ShareModel> = new Map()
  readonly slots: Map<string, { state: State; id: string | undefined }> = new Map()
  /** The tasks that seal with a host export. */
  readonly hosts: Set<number> = new Set()

  constructor(name: string, password: string, place: 'postgres' | 's3') {
    super(name)
    this.password = new Register(password)
    this.place = place
    this.archives.set(this.archiveKey, new ArchiveModel())
  }

  get archiveKey(): string {
    return `keyset ${this.name}`
  }

  shareKey(id: string): string {
    return `share ${id} of ${this.name}`
  }

  given(): KeysetGiven {
    const { name, id, place, revision } = this
    const slots = [...this.slots]
    return {
      ...{ name, id, place, revision },
      ...this.archiveGiven(this.archiveKey, 'backups'),
      passwords: this.password.possible,
      past: this.password.past,
      shares: [...this.shares.values()].map(({ id, recipient, invite, state }) => ({
        ...{ id, recipient, invite, revoked: state !== 'active' },
        ...this.archiveGiven(this.shareKey(id), 'files'),
      })),
      slots: slots.filter(([, { state }]) => state === 'active').map(([code, { id }]) => ({ code, id })),
      removedSlots: slots.filter(([, { state }]) => state === 'removed').map(([code]) => code),
    }
  }
}
