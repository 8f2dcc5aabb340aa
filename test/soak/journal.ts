// The journal of one process: what it is about to do, and what was acknowledged to it, one JSON text a line. A line is
// written to the file before the call that writes it returns, so SIGKILL loses nothing that was acknowledged.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

/** What an operation is about, as far as the model needs it. */
export type Facts = Readonly<Record<string, string | number | boolean | undefined>>

export type Line = { readonly at: number } & (
  | {
      readonly kind: 'intent'
      readonly id: string
      readonly task: number
      readonly what: string
      readonly facts: Facts
    }
  | { readonly kind: 'ack'; readonly id: string; readonly facts: Facts }
  /** A KeystrataError or a status of the service: nothing has happened. */
  | { readonly kind: 'refused'; readonly id: string; readonly code: string }
  /** It may or may not have happened. */
  | { readonly kind: 'lost'; readonly id: string; readonly error: string }
  | {
      readonly kind: 'reading'
      readonly task: number
      readonly archive: string
      readonly since: number
      /** The position, the id and the hash of each record, in the order of the log. */
      readonly records: readonly (readonly [string, string, string])[]
      /** Whether every block of these records was opened too. */
      readonly opened: boolean
    }
  /** What a process saw of something that changes: which password opens, say. */
  | {
      readonly kind: 'seen'
      readonly task: number
      readonly what: string
      readonly since: number
      readonly value: string
      /** The revision of the keyset that a password opened. */
      readonly revision?: string
    }
  | { readonly kind: 'wrong'; readonly task: number; readonly what: string }
)

type Without<T> = T extends unknown ? Omit<T, 'at'> : never

/** Milliseconds on a clock that all processes of this machine share. */
export const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

export class Journal {
  readonly #file: number
  readonly #name: string
  readonly #open: Set<string> = new Set()
  #count = 0

  constructor(path: string, name: string) {
    this.#file = openSync(path, 'a')
    this.#name = name
  }

  write(line: Without<Line>): void {
    writeSync(this.#file, `${JSON.stringify({ at: now(), ...line })}\n`)
  }

  /** Writes down what is about to happen. Returns an id for what came of it. */
  intend(task: number, what: string, facts: Facts): string {
    const id = `${this.#name}:${this.#count++}`
    this.write({ kind: 'intent', id, task, what, facts })
    this.#open.add(id)
    return id
  }

  acknowledge(id: string, facts: Facts = {}): void {
    this.write({ kind: 'ack', id, facts })
    this.#open.delete(id)
  }

  /** Writes down what came of everything that was begun and not acknowledged. */
  fail(outcome: { kind: 'refused'; code: string } | { kind: 'lost'; error: string }): void {
    for (const id of this.#open) this.write({ id, ...outcome })
    this.#open.clear()
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Reads what a journal has gained. */
export class JournalTail {
  readonly #path: string
  #file: number | undefined
  #offset = 0
  #rest = ''

  constructor(path: string) {
    this.#path = path
  }

  /** Returns the lines since the last call. The end of a line that is not complete is read by a later call. */
  read(): Line[] {
    this.#file ??= openSync(this.#path, 'a+')
    const chunk = Buffer.alloc(65_536)
    const parts: Buffer[] = []
    for (;;) {
      const length = readSync(this.#file, chunk, 0, chunk.length, this.#offset)
      if (length === 0) break
      this.#offset += length
      parts.push(Buffer.from(chunk.subarray(0, length)))
    }
    if (parts.length === 0) return []
    // Every line is ASCII: JSON of names, numbers and hex.
    const lines = (this.#rest + Buffer.concat(parts).toString('latin1')).split('\n')
    this.#rest = lines.pop()!
    return lines.map((line) => JSON.parse(line) as Line)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
  }
}
