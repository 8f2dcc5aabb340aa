// Headless Firefox (FIREFOX, or /usr/bin/firefox-esr), driven over WebDriver BiDi. Node 20 needs --experimental-websocket.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const PROGRAM = process.env['FIREFOX'] ?? '/usr/bin/firefox-esr'
const STARTUP_MS = 60_000
const COMMAND_MS = 120_000

type Preferences = Readonly<Record<string, string | number | boolean>>

/** No requests to other servers. */
const PREFERENCES: Preferences = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
}

/** Waits for `promise`, but not for ever. */
async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late: Promise<never> = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} s`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

interface Answer {
  id?: number
  type: 'success' | 'error' | 'event'
  result?: unknown
  error?: string
  message?: string
}

/** The folder in which Firefox keeps its settings and what pages store. It outlives a Firefox. */
export class Profile {
  readonly path: string

  constructor(preferences: Preferences = {}) {
    if (!existsSync(PROGRAM))
      throw new Error(
        `Firefox was not found at ${PROGRAM}: install the package firefox-esr, or set FIREFOX to its path`,
      )
    this.path = mkdtempSync(join(tmpdir(), 'keystrata-firefox-'))
    const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(
      ([name, value]) => `user_pref('${name}', ${JSON.stringify(value)});`,
    )
    writeFileSync(join(this.path, 'user.js'), lines.join('\n'))
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20 })
  }
}

/** A connection to a running Firefox. */
export class Firefox {
  readonly #child: ChildProcess
  readonly #socket: WebSocket
  readonly #waiting: Map<number, (answer: Answer) => void> = new Map()
  #commands = 0

  private constructor(child: ChildProcess, socket: WebSocket) {
    this.#child = child
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
    })
  }

  static async start({ path: profile }: Profile): Promise<Firefox> {
    const args = ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', profile]
    // Firefox refuses to run as root with the home of another user.
    const child = spawn(PROGRAM, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: '1' },
    })
    try {
      const url = await within(STARTUP_MS, 'the start of Firefox', Firefox.#addressOf(child))
      const socket = new WebSocket(`${url}/session`)
      await within(STARTUP_MS, 'the connection to Firefox', once(socket, 'open'))
      const firefox = new Firefox(child, socket)
      await firefox.send('session.new', { capabilities: {} })
      return firefox
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  static async #addressOf(child: ChildProcess): Promise<string> {
    const said: string[] = []
    for await (const line of createInterface({ input: child.stderr! })) {
      const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? []
      if (url !== undefined) {
        child.stderr!.resume()
        return url
      }
      said.push(line)
    }
    throw new Error(`Firefox ended before it was ready:\n${said.join('\n')}`)
  }

  async send(method: string, params: object): Promise<unknown> {
    const id = ++this.#commands
    const answer: Promise<Answer> = new Promise((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params }))
    const { type, result, error, message } = await within(COMMAND_MS, method, answer)
    if (type !== 'success') throw new Error(`${method}: ${error ?? type}: ${message ?? ''}`)
    return result
  }

  /** Opens a page in a new tab, and waits until it is loaded. */
  async tab(url: string): Promise<string> {
    const { context } = (await this.send('browsingContext.create', { type: 'tab' })) as { context: string }
    await this.send('browsingContext.navigate', { context, url, wait: 'complete' })
    return context
  }

  /** Opens a page in a window of its own, with storage of its own. A tab in the background would be slowed down. */
  async window(url: string): Promise<string> {
    const { userContext } = (await this.send('browser.createUserContext', {})) as { userContext: string }
    const created = await this.send('browsingContext.create', { type: 'window', userContext })
    const { context } = created as { context: string }
    await this.send('browsingContext.navigate', { context, url, wait: 'none' })
    return context
  }

  /** Evaluates an expression in a page. Returns what it is, or what its promise becomes: a string. */
  async evaluate(context: string, expression: string): Promise<string> {
    const params = { expression, target: { context }, awaitPromise: true }
    const answer = (await this.send('script.evaluate', params)) as {
      type: string
      result?: { value: string }
      exceptionDetails?: { text: string }
    }
    if (answer.type !== 'success') throw new Error(`${expression}: ${answer.exceptionDetails?.text ?? answer.type}`)
    return answer.result!.value
  }

  /** Ends the process that was started, without giving it time to write anything. */
  async kill(): Promise<void> {
    this.#socket.close()
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
