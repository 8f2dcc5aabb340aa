// npm run test:firefox: runs the laws of the stores in IndexedDB in headless Firefox (FIREFOX, or /usr/bin/firefox-esr),
// with two tabs at once, a full disk, and a process that is killed after a write. It drives Firefox over WebDriver BiDi.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'
import type { Results } from './firefox-page.ts'

const PROGRAM = process.env['FIREFOX'] ?? '/usr/bin/firefox-esr'
const ADDITIONS = 40
const STARTUP_MS = 60_000
const COMMAND_MS = 120_000

/** No requests to other servers, and a disk of 250 MB, of which a site may use a fifth. */
const PREFERENCES = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'dom.quotaManager.temporaryStorage.fixedLimit': 250 * 1024,
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

/** A connection to a running Firefox. */
class Firefox {
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

  static async start(profile: string): Promise<Firefox> {
    const args = ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', profile]
    // Firefox refuses to run as root with the home of somebody else.
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

  /** Opens a page in a new tab. */
  async tab(url: string): Promise<string> {
    const { context } = (await this.send('browsingContext.create', { type: 'tab' })) as { context: string }
    await this.send('browsingContext.navigate', { context, url, wait: 'complete' })
    return context
  }

  /** Runs a call of the page in a tab. */
  async run(context: string, expression: string): Promise<Results> {
    const params = { expression, target: { context }, awaitPromise: true }
    const answer = (await this.send('script.evaluate', params)) as {
      type: string
      result?: { value: string }
      exceptionDetails?: { text: string }
    }
    if (answer.type !== 'success') throw new Error(`${expression}: ${answer.exceptionDetails?.text ?? answer.type}`)
    return JSON.parse(answer.result!.value) as Results
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

async function served(): Promise<{ url: string; close: () => void }> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'firefox-page.ts')],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    write: false,
    logLevel: 'warning',
    // The library asks for them where they exist, and bundlers leave them out for browsers.
    external: ['node:*'],
  })
  const script = outputFiles[0]!.text
  const server = createServer((request, response) => {
    if (request.url === '/page.js') response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script)
    else response.setHeader('content-type', 'text/html').end('<!doctype html><script src="/page.js"></script>')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }
}

const counts = { passed: 0, failed: 0 }

function report(results: Results): void {
  for (const [name, problem] of results) {
    counts[problem === undefined ? 'passed' : 'failed']++
    console.log(
      `${problem === undefined ? 'ok    ' : 'FAILED'} ${name}${problem === undefined ? '' : `\n       ${problem}`}`,
    )
  }
}

async function main(): Promise<void> {
  if (!existsSync(PROGRAM)) {
    throw new Error(`Firefox was not found at ${PROGRAM}: install the package firefox-esr, or set FIREFOX to its path`)
  }
  const profile = mkdtempSync(join(tmpdir(), 'keystrata-firefox-'))
  const preferences = Object.entries(PREFERENCES).map(
    ([name, value]) => `user_pref('${name}', ${JSON.stringify(value)});`,
  )
  writeFileSync(join(profile, 'user.js'), preferences.join('\n'))
  const { url, close } = await served()
  let firefox: Firefox | undefined
  try {
    firefox = await Firefox.start(profile)
    const [first, second] = [await firefox.tab(url), await firefox.tab(url)]
    report(await firefox.run(first, 'page.laws()'))
    if (counts.passed + counts.failed < 20) throw new Error('hardly any law was checked')
    const adding = `page.add(${ADDITIONS})`
    const [one, other] = await Promise.all([firefox.run(first, adding), firefox.run(second, adding)])
    report([...one, ...other])
    report(await firefox.run(second, `page.total(${2 * ADDITIONS})`))
    report(await firefox.run(first, `page.add(1)`))
    await firefox.kill()
    firefox = await Firefox.start(profile)
    const again = await firefox.tab(url)
    report(await firefox.run(again, `page.total(${2 * ADDITIONS + 1})`))
    report(await firefox.run(again, 'page.fill()'))
  } finally {
    await firefox?.kill()
    close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 })
  }
}

await main().catch((error: unknown) => {
  counts.failed++
  console.error(error)
})
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exitCode = counts.failed > 0 ? 1 : 0
