// What a test and its processes agree on: which store, which keys, and what to do with one log.
import pg from 'pg'
import { SecretKey } from '../../src/core/secret.ts'
import { createDeviceKey, openDeviceKey } from '../../src/device.ts'
import { createKeyset, type Keyset, openSavedKeyset, openWriter } from '../../src/index.ts'
import type { RecordReader, RecordWriter } from '../../src/state/record.ts'
import { folderStateStore } from '../../src/stores/folder.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'
import type { StateStore } from '../../src/stores.ts'
import { OpenedVault } from '../../src/vault/block.ts'

/** A folder, or tables in PostgreSQL whose names begin with `table`. */
export type Place = { readonly folder: string } | { readonly config: pg.PoolConfig; readonly table: string }

/** The keys of one log, as text that goes to other processes. */
export type StoredKeys =
  | { readonly kind: 'vault'; readonly key: string }
  | {
      readonly kind: 'keyset'
      readonly id: string
      readonly device: string
      readonly host: string
      /** The same keyset after 0, 1, 2 … regenerations of its keys, each saved under the device key. */
      readonly saved: readonly string[]
    }

/** What one process does. `dying`: it reseals once, and kills itself after as many calls of the store. */
export interface Job {
  readonly work: 'append' | 'reseal' | 'read' | 'dying'
  readonly log: string
  readonly place: Place
  readonly keys: StoredKeys
  readonly generation: number
  readonly calls: number
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

export function storeAt(place: Place): StateStore {
  if ('folder' in place) return folderStateStore(place.folder)
  const pool = new pg.Pool({ ...place.config, max: 2, application_name: 'keystrata-log', allowExitOnIdle: true })
  // The test cuts connections.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  return postgresStateStore(pool, { table: place.table })
}

export const vaultKeys = (): StoredKeys => ({
  kind: 'vault',
  key: hex(crypto.getRandomValues(new Uint8Array(32))),
})

/** Creates a keyset, and regenerates its keys again and again. */
export async function keysetKeys(
  generations: number,
  options: Parameters<typeof createKeyset>[1],
): Promise<StoredKeys> {
  using device = createDeviceKey()
  let keyset = await createKeyset('correct horse battery staple', { encryption: 'x25519', ...options })
  const { id } = keyset
  const host = hex(keyset.export('host'))
  const saved = [hex(keyset.save(device))]
  while (saved.length < generations) saved.push(hex((keyset = keyset.regenerate()).save(device)))
  return { kind: 'keyset', id, device: hex(device.exportUnprotected()), host, saved }
}

/** Opens the keys of the owner. */
export async function ownerKeys(keys: StoredKeys, generation?: number): Promise<Keyset | OpenedVault> {
  if (keys.kind === 'vault') return new OpenedVault(new Uint8Array(16).fill(1), new SecretKey('data', unhex(keys.key)))
  using device = await openDeviceKey(unhex(keys.device))
  return openSavedKeyset(unhex(keys.saved[Math.min(generation ?? Infinity, keys.saved.length - 1)]!), device, {
    id: keys.id,
  })
}

/** Opens what a host appends with. The host of a keyset has an export from before any regeneration. */
export async function hostKeys(keys: StoredKeys): Promise<RecordWriter & Partial<RecordReader>> {
  return keys.kind === 'vault' ? ownerKeys(keys) : openWriter(unhex(keys.host))
}
