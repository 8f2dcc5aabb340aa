// Defects of stores and of a service that a soak must find. `npm run soak -- --sabotage KIND` shows that it does.
import type { BlobStore, RegistryStore, StateStore } from 'keystrata/stores'
import type { Random } from './random.ts'

export const SABOTAGES = {
  'dropped-write': 'acknowledges some writes of state without writing',
  'write-twice': 'writes some records of logs a second time, as the next version',
  'old-version': 'sometimes returns a version of an object that is not the newest',
  'dropped-block': 'acknowledges some blocks without storing them',
  'damaged-block': 'flips a bit in some ciphertexts',
  'forgotten-removal': 'leaves clients enrolled that were removed',
  leak: 'keeps everything that the services read',
  'leaking-files': 'leaves files open in the services',
} as const

export type Sabotage = keyof typeof SABOTAGES

export const isSabotage = (text: string | undefined): text is Sabotage => text !== undefined && text in SABOTAGES

export function sabotagedState<S extends StateStore>(store: S, kind: string | undefined, random: Random): S {
  const changed: Partial<StateStore> = {}
  if (kind === 'dropped-write')
    changed.write = async (name, version, bytes) =>
      version > 1 && random.happens(0.05) ? true : store.write(name, version, bytes)
  if (kind === 'write-twice')
    changed.write = async (name, version, bytes) => {
      const isWritten = await store.write(name, version, bytes)
      if (isWritten && /(^|\/)log\//.test(name) && random.happens(0.1)) await store.write(name, version + 1, bytes)
      return isWritten
    }
  if (kind === 'old-version')
    changed.read = async (name) => {
      const newest = await store.read(name)
      if (newest === undefined || newest.version < 2 || random.happens(0.9)) return newest
      const bytes = await store.readVersion(name, newest.version - 1)
      return bytes === undefined ? newest : { version: newest.version - 1, bytes }
    }
  if (kind === undefined || Object.keys(changed).length === 0) return store
  return new Proxy(store, { get: (target, key) => bound(changed, key) ?? bound(target, key) })
}

const bound = (target: object, key: string | symbol): unknown => {
  const value: unknown = Reflect.get(target, key)
  return typeof value === 'function' ? (value.bind(target) as unknown) : value
}

export function sabotagedBlobs(store: BlobStore, kind: string | undefined, random: Random): BlobStore {
  const isCiphertext = (name: string) => name.includes('data/')
  const put = async (name: string, bytes: Uint8Array): Promise<boolean> => {
    if (!isCiphertext(name) || random.happens(0.95)) return store.put(name, bytes)
    if (kind === 'dropped-block') return true
    const damaged = new Uint8Array(bytes)
    damaged[damaged.length >> 1]! ^= 1
    return store.put(name, damaged)
  }
  if (kind !== 'dropped-block' && kind !== 'damaged-block') return store
  return {
    put,
    get: (name) => store.get(name),
    replace: (name, expected, next) => store.replace(name, expected, next),
    delete: (name) => store.delete(name),
    list: (prefix) => store.list(prefix),
    ...(store.copiesBytes !== undefined && { copiesBytes: store.copiesBytes }),
  }
}

/** A cache without an end, and what else a service may do wrong. */
const kept: unknown[] = []

export function leaking(store: RegistryStore, kind: string | undefined, openFile: () => void): RegistryStore {
  if (kind !== 'leak' && kind !== 'leaking-files') return store
  const read: StateStore['read'] = async (name) => {
    const found = await store.read(name)
    if (kind === 'leak') kept.push(Array.from({ length: 4_000 }, (_, index) => index + kept.length + 0.5))
    else openFile()
    return found
  }
  return new Proxy(store, { get: (target, key) => (key === 'read' ? read : bound(target, key)) })
}
