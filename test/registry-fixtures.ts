// Helpers for tests with a key registry: a store that shows what is in it, and the steps of a client.
import { createHash } from 'node:crypto'
import type { Client } from '../src/client.ts'
import { encodeEnrolment, readEnrolment } from '../src/client/proof.ts'
import type { Connection, KeyRegistry } from '../src/server.ts'
import { memoryStateStore, type RegistryStore } from '../src/stores.ts'
import { claimantOf, hex } from './fixtures.ts'

/** The name of the server in most tests. */
export const OWN = { server: 'storage-1' }

/** A registry store in memory. It shows what it is asked, and tests change how it answers. */
export class WatchedStore implements RegistryStore {
  readonly inner: RegistryStore = memoryStateStore()
  /** Methods in place of the right ones. */
  changed: Partial<RegistryStore> = {}
  reads = 0
  /** The names that were to be written, in order. */
  readonly writes: string[] = []
  /** The keys that were given to `once`, with their ends. */
  readonly taken: { key: string; until: Date }[] = []
  /** All bytes that were ever to be written. */
  readonly history: Uint8Array[] = []

  async read(name: string): ReturnType<RegistryStore['read']> {
    this.reads++
    return (this.changed.read ?? this.inner.read)(name)
  }

  async readVersion(name: string, version: number): ReturnType<RegistryStore['readVersion']> {
    return (this.changed.readVersion ?? this.inner.readVersion)(name, version)
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    this.writes.push(name)
    this.history.push(new Uint8Array(bytes))
    return (this.changed.write ?? this.inner.write)(name, version, bytes)
  }

  async drop(name: string, below: number): Promise<void> {
    await (this.changed.drop ?? this.inner.drop)(name, below)
  }

  async once(key: string, until: Date): Promise<boolean> {
    this.taken.push({ key, until })
    return (this.changed.once ?? this.inner.once)(key, until)
  }

  /** Returns the versions of an object that were not dropped. */
  async kept(name: string): Promise<number[]> {
    const versions: number[] = []
    for await (const { version } of this.inner.readVersions!(name, 1)) versions.push(version)
    return versions
  }
}

/** Returns the name of the row of an account, as SPEC §17.2 says it. */
export function rowName(account: string, realm = 'tests'): string {
  const prefixed = (text: string) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(text))
    return Buffer.concat([length, Buffer.from(text)])
  }
  const hash = createHash('sha256').update(prefixed('keystrata/v1/account-row'))
  return `account/${hash.update(prefixed(realm)).update(prefixed(account)).digest('hex')}`
}

/** Enrols a client in its own account. */
export async function enrolIn(registry: KeyRegistry, client: Client, own: typeof OWN = OWN): Promise<void> {
  await registry.enrol(client.enrolment(await registry.challenge(), own), { account: client.account })
}

export async function connectTo(registry: KeyRegistry, client: Client, own: typeof OWN = OWN): Promise<Connection> {
  return registry.connect(client.prove(await registry.challenge(), own))
}

/** Connects a client and commits its first backup. */
export async function commitFor(registry: KeyRegistry, client: Client, own: typeof OWN = OWN): Promise<void> {
  await registry.commitFirstBackup(await connectTo(registry, client, own))
}

/** Returns the connection that a client would get, without a registry. */
export function connectionOf(client: Client): Connection {
  const { privateKey } = readEnrolment(encodeEnrolment(claimantOf(client), new Uint8Array(1)))
  const { account, name } = client
  return { account, name, state: 'provisional', safeguarded: false, key: hex(privateKey.hash) }
}

/** Deposits the keys of a client in its own account. */
export async function depositIn(registry: KeyRegistry, client: Client): Promise<string> {
  const { escrow, activationCode } = client.safeguard()
  await registry.safeguard(escrow, { account: client.account })
  return activationCode
}
