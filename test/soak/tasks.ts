// What the coordinator asks a worker to do, and what it tells it about the user, the client or the keyset.

/** A log, and the newest position in it that was acknowledged. */
export interface ArchiveGiven {
  readonly key: string
  readonly log: string
  readonly floor?: string | undefined
}

/** Who can set a new password of a user: the admin, nobody, or the holder of a recovery code. */
export type RecoveryGiven = 'admin' | 'nobody' | `code ${string}`

export interface UserGiven {
  readonly name: string
  /** The passwords that may be in force, the newest first. */
  readonly passwords: readonly string[]
  readonly past: readonly string[]
  /** Whether keyrings and logs are in the bucket. */
  readonly elsewhere: boolean
  readonly recovery: RecoveryGiven
  readonly revision?: string | undefined
  readonly identity?: string | undefined
  readonly vaults: readonly (ArchiveGiven & { readonly id: string })[]
}

export interface ClientGiven {
  readonly account: string
  readonly name: string
  readonly safeguarding: 'optional' | 'mandatory'
  readonly accountKey?: string | undefined
  readonly privateKey: string
  /** The client, saved under the device key of the run, in hex. */
  readonly saved: string
  /** The activation codes, the newest first. */
  readonly codes: readonly string[]
  readonly archives: Readonly<Record<'private' | 'account', ArchiveGiven>>
  /** Whether it cannot connect any more: an auditor reads what it has left on the server. */
  readonly isRemoved: boolean
  /** A client of the same names with another private key, saved in hex. */
  readonly impostor?: string | undefined
}

export interface ShareGiven extends ArchiveGiven {
  readonly id: string
  /** The keyset that was invited. */
  readonly recipient: string
  readonly invite: string
  readonly revoked: boolean
}

export interface SlotGiven {
  readonly code: string
  readonly id?: string | undefined
}

export interface KeysetGiven extends ArchiveGiven {
  readonly name: string
  readonly id?: string | undefined
  readonly place: 'postgres' | 's3'
  readonly passwords: readonly string[]
  readonly past: readonly string[]
  readonly revision?: string | undefined
  readonly shares: readonly ShareGiven[]
  readonly slots: readonly SlotGiven[]
  readonly removedSlots: readonly string[]
}

export interface Task {
  readonly id: number
  readonly op: Op
  readonly seed: number
  /** When the coordinator looked at its model. */
  readonly since: number
  readonly user?: UserGiven
  readonly client?: ClientGiven
  readonly keyset?: KeysetGiven
  /** The other keyset of a share. */
  readonly other?: KeysetGiven
  /** A vault, a scope or a share. */
  readonly target?: string
  /** A new password, code or key. */
  readonly next?: string
  readonly options?: Readonly<Record<string, string>>
}

export const OPS = [
  'user.sign-up',
  'user.create-vault',
  'user.back-up',
  'user.read',
  'user.rotate',
  'user.change-password',
  'user.reset-by-admin',
  'user.reset-by-code',
  'user.change-recovery',
  'user.old-password',
  'client.enrol',
  'client.back-up',
  'client.read',
  'client.safeguard',
  'client.recover',
  'client.wrong-key',
  'client.remove',
  'client.refused',
  'keyset.create',
  'keyset.back-up',
  'keyset.read',
  'keyset.change-password',
  'keyset.new-master',
  'keyset.replace-keys',
  'keyset.add-slot',
  'keyset.test-slot',
  'keyset.remove-slot',
  'keyset.recover',
  'keyset.old-password',
  'share.create',
  'share.back-up',
  'share.add',
  'share.read',
  'share.revoke',
  'share.refused',
  'blocks.check',
] as const

export type Op = (typeof OPS)[number]

/** What all processes of a run know. */
export interface RunConfig {
  readonly folder: string
  readonly seed: number
  readonly postgres: { readonly host: string; readonly port: number; readonly user: string; readonly database: string }
  readonly s3: { readonly endpoint: string; readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly bucket: string
  /** The device key of the run, in hex: what processes save, others can open. */
  readonly device: string
  /** The keyset of the admin and provider, saved under the device key, and its card, in hex. */
  readonly admin: { readonly id: string; readonly saved: string; readonly card: string }
  /** The addresses of the services: for users and for clients. The first pair is never killed. */
  readonly services: readonly { readonly users: string; readonly clients: string }[]
  readonly faults: number
  readonly sabotage?: string | undefined
}

/** What the coordinator and its processes say to each other. */
export type ToWorker =
  | { readonly say: 'task'; readonly task: Task }
  | { readonly say: 'drained' }
  | { readonly say: 'measure' }
  | { readonly say: 'end' }

export type FromWorker =
  | { readonly say: 'ready'; readonly ports?: readonly number[] }
  | { readonly say: 'done'; readonly task: number; readonly outcome: string; readonly ms: number }
  | { readonly say: 'drain'; readonly task: number }
  | { readonly say: 'figures'; readonly figures: Figures }
  | { readonly say: 'fault'; readonly what: string; readonly count: number }

export interface Figures {
  readonly heap: number
  readonly rss: number
  readonly files: number
  readonly threads: number
  readonly connections: number
}
