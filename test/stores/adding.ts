// Programs in their own processes that add to one object together, and count what a store has acknowledged. The object
// has a count for each of them, so an update that was lost shows.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'

/** What is stored: for each writer, how often it added, and the last thing that it added. */
export type Counts = Readonly<Record<string, { readonly count: number; readonly last: string }>>

export const countsIn = (bytes: Uint8Array | undefined): Counts =>
  bytes === undefined ? {} : (JSON.parse(new TextDecoder().decode(bytes)) as Counts)

/** Returns the object after `writer` added something. It gets a length that is not always the same. */
export function withOneMore(counts: Counts, writer: string, last: string): Uint8Array {
  const next = { ...counts, [writer]: { count: (counts[writer]?.count ?? 0) + 1, last } }
  return new TextEncoder().encode(JSON.stringify(next) + ' '.repeat(last.length * 7))
}

/** Tells the parent that `writer` has added something to an object, and the store has acknowledged it. */
export function acknowledge(object: string, writer: string): void {
  process.stdout.write(`ack ${object} ${writer}\n`)
}

/** Tells the parent that something happened that must not. */
export function complain(what: string): void {
  process.stdout.write(`wrong ${what}\n`)
}

/** Tells the parent what else happened, to be counted. */
export function count(what: string): void {
  process.stdout.write(`count ${what}\n`)
}

/** What the programs of one test said. */
export class Reports {
  /** How often each writer was told that it had added to an object: `object writer` → number. */
  readonly acknowledged: Map<string, number> = new Map()
  readonly counted: Map<string, number> = new Map()
  readonly wrong: string[] = []
  readonly #running: Set<Program> = new Set()

  /** Starts a program. */
  start(path: string, given: readonly string[]): Program {
    const loader = path.endsWith('.ts') ? ['--import', 'tsx'] : []
    const child = spawn(process.execPath, [...loader, path, ...given], { stdio: ['ignore', 'pipe', 'pipe'] })
    const lines = createInterface({ input: child.stdout })
    const program = new Program(child, lines)
    this.#running.add(program)
    lines.on('line', (line) => {
      const [kind = '', ...rest] = line.split(' ')
      const what = rest.join(' ')
      if (kind === 'ack' || kind === 'count') {
        const numbers = kind === 'ack' ? this.acknowledged : this.counted
        numbers.set(what, (numbers.get(what) ?? 0) + 1)
      } else this.wrong.push(line)
    })
    void program.ended.then((problem) => {
      this.#running.delete(program)
      if (problem !== undefined) this.wrong.push(problem)
    })
    return program
  }

  /** Kills every program that still runs. */
  async killAll(): Promise<void> {
    await Promise.all([...this.#running].map((program) => program.kill()))
  }

  /** The sum of what all writers were told. */
  get total(): number {
    return [...this.acknowledged.values()].reduce((sum, each) => sum + each, 0)
  }
}

class Program {
  /** Resolves once the program has ended and all its output was read: to what went wrong, or to undefined. */
  readonly ended: Promise<string | undefined>
  /** Resolves once the program has said something, or has ended. */
  readonly spoken: Promise<unknown>
  readonly #child: ChildProcess

  constructor(child: ChildProcess, lines: Interface) {
    this.#child = child
    this.spoken = new Promise((resolve) => lines.once('line', resolve).once('close', resolve))
    let errors = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text))
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) =>
        resolve(code === 0 || signal === 'SIGKILL' ? undefined : `ended with ${String(code ?? signal)}: ${errors}`),
      )
    })
  }

  /** Asks the program to end after what it does now. */
  stop(): void {
    this.#child.kill('SIGTERM')
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
