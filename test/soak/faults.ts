// Stores between a process and a server that delay answers and lose them: before a call, so that nothing happens, or
// after it, so that it has happened and the caller does not know.
import { setTimeout as pause } from 'node:timers/promises'
import type { BlobStore, StateStore } from 'keystrata/stores'
import type { Random } from './random.ts'

export class InjectedFault extends Error {
  override readonly name = 'InjectedFault'
}

/** After so many calls of a task, faults are half as likely. */
const CALLS = 20

export class Faults {
  readonly counts: Map<string, number> = new Map()
  readonly #random: Random
  readonly #probability: number
  #calls = 0

  /**
   * @param probability of each kind of fault, for the first call of a task. Later calls have fewer, so that long tasks end
   *   too
   */
  constructor(random: Random, probability: number) {
    this.#random = random
    this.#probability = probability
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /** Takes the counts of the task that has ended. */
  taken(): [string, number][] {
    const taken = [...this.counts]
    this.counts.clear()
    this.#calls = 0
    return taken
  }

  async through<T>(where: string, isChange: boolean, call: () => Promise<T>): Promise<T> {
    const probability = this.#probability / (1 + this.#calls++ / CALLS)
    if (this.#random.happens(probability * 2)) {
      this.count(`${where}: delayed`)
      await pause(this.#random.below(400))
    }
    if (this.#random.happens(probability)) {
      this.count(`${where}: call lost`)
      throw new InjectedFault(`${where}: the call was lost`)
    }
    const answer = await call()
    if (this.#random.happens(isChange ? probability * 2 : probability)) {
      this.count(`${where}: answer lost${isChange ? ' after a write' : ''}`)
      throw new InjectedFault(`${where}: the answer was lost`)
    }
    return answer
  }

  state(where: string, store: StateStore): StateStore {
    return {
      read: (name) => this.through(where, false, () => store.read(name)),
      readVersion: (name, version) => this.through(where, false, () => store.readVersion(name, version)),
      ...(store.readVersions !== undefined && { readVersions: (name, from) => store.readVersions!(name, from) }),
      write: (name, version, bytes) => this.through(where, true, () => store.write(name, version, bytes)),
      drop: (name, below) => this.through(where, true, () => store.drop(name, below)),
    }
  }

  blobs(where: string, store: BlobStore): BlobStore {
    return {
      get: (name) => this.through(where, false, () => store.get(name)),
      put: (name, bytes) => this.through(where, true, () => store.put(name, bytes)),
      replace: (name, expected, next) => this.through(where, true, () => store.replace(name, expected, next)),
      delete: (name) => this.through(where, true, () => store.delete(name)),
      list: (prefix) => store.list(prefix),
      ...(store.copiesBytes !== undefined && { copiesBytes: store.copiesBytes }),
    }
  }
}
