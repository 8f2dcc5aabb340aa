// Keeps processes of the fleet running, as systemd does for a product: whatever ends is started again, unless it says
// that it ends for good.
import { type ChildProcess, fork } from 'node:child_process'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Message, REFUSED } from './messages.ts'
import { ended, isRunning } from './servers.ts'

/** How long a process that ended in an unexpected way stays down. */
const PAUSE_MS = 200

/** How often a process may end without ever telling anything. */
const SILENT_ENDS = 5

/** How long processes may take to end in order. */
const ENDING_MS = 1500

export class Kept {
  /** How it ended: `done`, or the reason why it must not be started again. */
  readonly over: Promise<{ readonly reason: string | undefined }>
  readonly #program: string
  readonly #args: readonly string[]
  readonly #onMessage: (message: Message) => void
  #child: ChildProcess | undefined
  #isStopping = false

  /** @param program the path of a TypeScript file, seen from this folder */
  constructor(program: string, args: readonly string[], onMessage: (message: Message) => void) {
    this.#program = resolve(import.meta.dirname, program)
    this.#args = args
    this.#onMessage = onMessage
    this.over = this.#keep()
  }

  get isUp(): boolean {
    return this.#child !== undefined && isRunning(this.#child)
  }

  /** Kills the process, which is started again. Returns its id, or undefined if it is down. */
  kill(): number | undefined {
    if (this.#child === undefined || !isRunning(this.#child)) return undefined
    this.#child.kill('SIGKILL')
    return this.#child.pid
  }

  /** Ends it in order, and then by force. */
  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#child === undefined) return
    const force = setTimeout(() => this.#child?.kill('SIGKILL'), ENDING_MS)
    await ended(this.#child, 'SIGTERM')
    clearTimeout(force)
  }

  async #keep(): Promise<{ reason: string | undefined }> {
    for (let silent = 0; !this.#isStopping;) {
      const told: Message[] = []
      const child = this.#start((message) => {
        told[0] = message
        if (!('refuse' in message)) this.#onMessage(message)
      })
      const code = await exitOf(child)
      if (code === 0) return { reason: undefined }
      const [last] = told
      if (code === REFUSED) return { reason: last && 'refuse' in last ? last.refuse : `${this.#program} gave up` }
      silent = last === undefined ? silent + 1 : 0
      if (silent === SILENT_ENDS) return { reason: `${this.#program} ends as soon as it starts` }
      await pause(PAUSE_MS)
    }
    return { reason: undefined }
  }

  #start(onMessage: (message: Message) => void): ChildProcess {
    // The owner's password is this process's alone.
    const env = { ...process.env, KEYSTRATA_PASSWORD: undefined }
    const child = fork(this.#program, this.#args, { env, execArgv: ['--import', 'tsx'] })
    child.on('message', (message) => onMessage(message as Message))
    this.#child = child
    return child
  }
}

/** Waits until a process has ended and everything that it sent is here. Returns its exit code, or null after a signal. */
async function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', (code) => resolve(code))
  })
}
