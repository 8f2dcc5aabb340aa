// The stores that the explorer models. Their answers are those that the contracts of StateStore and BlobStore allow.
// Subclasses in the tests break a rule, to show that the explorer notices.
import { createHash } from 'node:crypto'
import type { BlobStore, StateStore } from '../../src/stores.ts'
import type { Machine } from './explorer.ts'

export type Stored = { version: number; bytes: Uint8Array } | undefined

/** Shows bytes in a trace. */
export type Shown = (bytes: Uint8Array) => string

export const digest: Shown = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 6)

interface StateObject {
  /** All versions that were ever written. */
  readonly versions: Uint8Array[]
  /** The lowest version that was not dropped. */
  lowest: number
}

export class ModelState {
  readonly #objects: Map<string, StateObject> = new Map()
  readonly #shown: Shown

  constructor(shown: Shown = digest) {
    this.#shown = shown
  }

  /** The names of all objects that were ever written or read. */
  names(): readonly string[] {
    return [...this.#objects.keys()]
  }

  object(name: string): StateObject {
    const object = this.#objects.get(name) ?? { versions: [], lowest: 1 }
    this.#objects.set(name, object)
    return object
  }

  read(name: string): Stored {
    return this.at(name, this.object(name).versions.length)
  }

  readVersion(name: string, version: number): Uint8Array | undefined {
    return version < this.object(name).lowest ? undefined : this.at(name, version)?.bytes
  }

  write(name: string, version: number, bytes: Uint8Array): boolean {
    if (!this.succeeds(name, version)) return false
    this.object(name).versions.push(new Uint8Array(bytes))
    return true
  }

  succeeds(name: string, version: number): boolean {
    return this.object(name).versions.length === version - 1
  }

  drop(name: string, below: number): void {
    const object = this.object(name)
    object.lowest = Math.max(object.lowest, Math.min(below, object.versions.length))
  }

  /** Returns a version, dropped or not. */
  at(name: string, version: number): Stored {
    const bytes = this.object(name).versions[version - 1]
    return bytes && { version, bytes: new Uint8Array(bytes) }
  }

  /** Returns the versions that are there. */
  kept(name: string): { version: number; bytes: Uint8Array }[] {
    return this.object(name).versions.flatMap((_, index) => {
      const bytes = this.readVersion(name, index + 1)
      return bytes === undefined ? [] : [{ version: index + 1, bytes }]
    })
  }

  /** Returns the same objects without a machine between. Nothing goes wrong here. */
  direct(): StateStore {
    return {
      read: async (name) => this.read(name),
      readVersion: async (name, version) => this.readVersion(name, version),
      write: async (name, version, bytes) => this.write(name, version, bytes),
      drop: async (name, below) => this.drop(name, below),
    }
  }

  /** Returns the store as one machine sees it. */
  as(machine: Machine): StateStore {
    const seen: Map<string, number> = new Map()
    const showStored = (answer: unknown) => {
      const stored = answer as Stored
      return stored === undefined ? 'none' : `v${stored.version} ${this.#shown(stored.bytes)}`
    }
    return {
      read: async (name) => {
        const stored = await machine.call<Stored>({
          shown: () => `read ${name}`,
          object: name,
          isWrite: false,
          apply: () => this.read(name),
          lateAnswers: (back) => {
            const newest = this.object(name).versions.length
            return Array.from({ length: Math.min(back, newest) }, (_, index) => this.at(name, newest - 1 - index))
          },
          showAnswer: showStored,
        })
        seen.set(name, Math.max(seen.get(name) ?? 0, stored?.version ?? 0))
        return stored
      },
      readVersion: (name, version) =>
        machine.call({
          shown: () => `readVersion ${name} v${version}`,
          object: name,
          isWrite: false,
          apply: () => this.readVersion(name, version),
          // It must not miss a version that `read` has returned. It may miss a later one.
          lateAnswers: () =>
            version > (seen.get(name) ?? 0) && this.readVersion(name, version) !== undefined ? [undefined] : [],
          showAnswer: (answer) => (answer === undefined ? 'none' : this.#shown(answer as Uint8Array)),
        }),
      write: (name, version, bytes) =>
        machine.call({
          shown: () => `write ${name} v${version} ${this.#shown(bytes)}`,
          object: name,
          isWrite: true,
          apply: () => this.write(name, version, bytes),
          succeeds: () => this.succeeds(name, version),
        }),
      drop: (name, below) =>
        machine.call({
          shown: () => `drop ${name} below v${below}`,
          object: name,
          isWrite: true,
          apply: () => this.drop(name, below),
          showAnswer: () => 'done',
        }),
    }
  }
}

export class ModelBlobs {
  readonly blobs: Map<string, Uint8Array> = new Map()
  readonly #shown: Shown

  constructor(shown: Shown = digest) {
    this.#shown = shown
  }

  put(name: string, bytes: Uint8Array): boolean {
    if (this.blobs.has(name)) return false
    this.blobs.set(name, new Uint8Array(bytes))
    return true
  }

  replace(name: string, expected: Uint8Array, next: Uint8Array): boolean {
    if (!this.holds(name, expected)) return false
    this.blobs.set(name, new Uint8Array(next))
    return true
  }

  holds(name: string, bytes: Uint8Array): boolean {
    const stored = this.blobs.get(name)
    return stored !== undefined && Buffer.compare(stored, bytes) === 0
  }

  get(name: string): Uint8Array | undefined {
    const bytes = this.blobs.get(name)
    return bytes && new Uint8Array(bytes)
  }

  list(prefix: string): { name: string; size: number; modified: Date }[] {
    const names = [...this.blobs.keys()].filter((name) => name.startsWith(prefix)).sort()
    return names.map((name) => ({ name, size: this.blobs.get(name)!.length, modified: new Date(0) }))
  }

  /** Returns the same blobs without a machine between. Nothing goes wrong here. */
  direct(): BlobStore {
    const list = (prefix: string) => this.list(prefix)
    return {
      get: async (name) => this.get(name),
      put: async (name, bytes) => this.put(name, bytes),
      replace: async (name, expected, next) => this.replace(name, expected, next),
      delete: async (name) => void this.blobs.delete(name),
      async *list(prefix) {
        yield* list(prefix)
      },
    }
  }

  /** Returns the store as one machine sees it. */
  as(machine: Machine): BlobStore {
    const list = (prefix: string) =>
      machine.call<ReturnType<ModelBlobs['list']>>({
        shown: () => `list ${short(prefix)}`,
        object: prefix,
        isList: true,
        isWrite: false,
        apply: () => this.list(prefix),
        showAnswer: (answer) => `${(answer as unknown[]).length} found`,
      })
    return {
      get: (name) =>
        machine.call({
          shown: () => `get ${short(name)}`,
          object: name,
          isWrite: false,
          apply: () => this.get(name),
          showAnswer: (answer) => (answer === undefined ? 'none' : this.#shown(answer as Uint8Array)),
        }),
      put: (name, bytes) =>
        machine.call({
          shown: () => `put ${short(name)} ${this.#shown(bytes)}`,
          object: name,
          isWrite: true,
          apply: () => this.put(name, bytes),
          succeeds: () => !this.blobs.has(name),
        }),
      replace: (name, expected, next) =>
        machine.call({
          shown: () => `replace ${short(name)} ${this.#shown(expected)} by ${this.#shown(next)}`,
          object: name,
          isWrite: true,
          apply: () => this.replace(name, expected, next),
          succeeds: () => this.holds(name, expected),
        }),
      delete: (name) =>
        machine.call({
          shown: () => `delete ${short(name)}`,
          object: name,
          isWrite: true,
          apply: () => void this.blobs.delete(name),
        }),
      async *list(prefix) {
        yield* await list(prefix)
      },
    }
  }
}

/** Shortens a label or hash in a name. */
const short = (name: string): string => name.replaceAll(/[\da-f]{64}/g, (label) => `${label.slice(0, 6)}…`)
