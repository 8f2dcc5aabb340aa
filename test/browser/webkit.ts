// WebKit, driven over WebDriver: the MiniBrowser of WebKitGTK, on a display in memory. Debian: webkit2gtk-driver, xvfb.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'

const DRIVER = process.env['WEBKIT_DRIVER'] ?? '/usr/bin/WebKitWebDriver'
const DISPLAY_SERVER = '/usr/bin/Xvfb'
const LIBRARIES = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
const STARTUP_MS = 60_000

/** Returns the path of MiniBrowser: WEBKIT, or the one that belongs to the driver. */
function browserPath(): string {
  const versions = existsSync(LIBRARIES)
    ? readdirSync(LIBRARIES).filter((name) => name.startsWith('webkit2gtk-4.'))
    : []
  const paths = versions.map((version) => join(LIBRARIES, version, 'MiniBrowser'))
  const path = process.env['WEBKIT'] ?? paths.find((each) => existsSync(each))
  for (const program of [DRIVER, DISPLAY_SERVER, path]) {
    if (program === undefined || !existsSync(program))
      throw new Error(`${program ?? 'MiniBrowser'} was not found: install the packages webkit2gtk-driver and xvfb`)
  }
  return path!
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A WebKit that runs, with one page. */
export class WebKit {
  readonly #children: ChildProcess[] = []
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'keystrata-webkit-'))
  #session = ''

  static async start(): Promise<WebKit> {
    const binary = browserPath()
    const webkit = new WebKit()
    try {
      await webkit.#open(binary)
      return webkit
    } catch (error) {
      await webkit.close()
      throw error
    }
  }

  async #open(binary: string): Promise<void> {
    const display = await this.#display()
    const port = await freePort()
    this.#spawn(DRIVER, ['--host=127.0.0.1', `--port=${port}`], {
      DISPLAY: display,
      GDK_BACKEND: 'x11',
      HOME: this.#folder,
      XDG_RUNTIME_DIR: this.#folder,
    })
    const driver = `http://127.0.0.1:${port}`
    const options = { binary, args: ['--automation'] }
    const body = { capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': options } } }
    const start = Date.now()
    for (;;) {
      try {
        const { sessionId } = (await command(`${driver}/session`, 'POST', body)) as { sessionId: string }
        this.#session = `${driver}/session/${sessionId}`
        return
      } catch (error) {
        // The driver does not say when it listens.
        if (!(error instanceof TypeError) || Date.now() - start > STARTUP_MS) throw error
        await pause(200)
      }
    }
  }

  /** Starts a display server, which chooses a free display itself. */
  async #display(): Promise<string> {
    const child = this.#spawn(DISPLAY_SERVER, ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'])
    const ready = once(child.stdio[3] as Readable, 'data').then(([number]) => `:${String(number).trim()}`)
    const ended = once(child, 'exit').then(([code]): never => {
      throw new Error(`Xvfb ended with code ${code}`)
    })
    ended.catch(() => undefined)
    return Promise.race([ready, ended])
  }

  #spawn(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    // As a group of processes, because the driver starts the browser.
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      detached: true,
      env: { ...process.env, ...env },
    })
    this.#children.push(child)
    return child
  }

  async navigate(url: string): Promise<void> {
    await command(`${this.#session}/url`, 'POST', { url })
  }

  /** Evaluates an expression in the page. Returns what it is: a string. */
  async evaluate(expression: string): Promise<string> {
    const body = { script: `return ${expression}`, args: [] }
    return (await command(`${this.#session}/execute/sync`, 'POST', body)) as string
  }

  async close(): Promise<void> {
    if (this.#session !== '') await command(this.#session, 'DELETE').catch(() => undefined)
    for (const child of this.#children.reverse()) {
      if (child.pid === undefined) continue
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // All of them have ended.
      }
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20 })
  }
}

async function command(url: string, method: string, body?: object): Promise<unknown> {
  const response = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) })
  const { value } = (await response.json()) as { value: unknown }
  if (response.ok) return value
  const { error, message } = Object(value) as { error?: string; message?: string }
  throw new Error(`${method} ${url}: ${error ?? response.status}: ${message ?? ''}`)
}
