// The harness of the tests in a browser: a local server with the built page, the browser, and a count of the checks.
import { existsSync, mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { type Browser, type BrowserContext, chromium } from 'playwright'
import { build, type UserConfig } from 'vite'

const EXECUTABLE = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync']
const QUIET = ['--disable-background-networking', '--disable-component-update']
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

const counts = { passed: 0, failed: 0 }

/** Counts one check and prints its result. If it failed, also prints what was found. */
export function check(what: string, holds: boolean, found?: unknown): void {
  counts[holds ? 'passed' : 'failed']++
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}`)
  if (!holds && found !== undefined) console.log(`       found: ${JSON.stringify(found)}`)
}

export function checkSame(what: string, found: unknown, expected: unknown): void {
  check(what, JSON.stringify(found) === JSON.stringify(expected), found)
}

export interface Site {
  url: string
  /** Every requested path, and the status code of the response. */
  asked: { path: string; code: number }[]
  close: () => Promise<void>
}

async function listen(answer: (path: string) => Promise<{ code: number; type: string; body: Buffer }>): Promise<Site> {
  const asked: Site['asked'] = []
  const listener: RequestListener = (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    void answer(path).then(({ code, type, body }) => {
      asked.push({ path, code })
      response.writeHead(code, { 'content-type': type }).end(body)
    })
  }
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  // By name: a passkey belongs to a name, never to an address.
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/`, asked, close }
}

/** Serves the files of a folder without security headers: the page's own policy must be enough. */
const serve = (folder: string): Promise<Site> =>
  listen(async (path) => {
    const file = join(folder, path === '/' ? 'index.html' : path)
    const body = await readFile(file).catch(() => undefined)
    if (body === undefined) return { code: 404, type: 'text/plain', body: Buffer.from('not here') }
    return { code: 200, type: TYPES[extname(file)] ?? 'application/octet-stream', body }
  })

/** A browser, and what may not happen in it. */
export interface Theatre {
  browser: Browser
  /** Another server, which must never get a request. */
  elsewhere: Site
  /** A folder for this run. */
  folder: string
}

export interface Stage extends Theatre {
  /** The built page. */
  site: Site
}

/** Builds a page, serves it, and runs `play` as {@link withBrowser} does. */
export const withStage = (config: UserConfig, play: (stage: Stage) => Promise<void>): Promise<void> =>
  withBrowser(async (theatre) => {
    const outDir = join(theatre.folder, 'site')
    await build({
      ...config,
      configFile: false,
      logLevel: 'warn',
      build: { ...config.build, outDir, emptyOutDir: true },
    })
    const site = await serve(outDir)
    try {
      await play({ ...theatre, site })
    } finally {
      await site.close()
    }
  })

/** Starts the browser and a server, runs `play`, prints the count of the checks, and always cleans up afterwards. */
export async function withBrowser(play: (theatre: Theatre) => Promise<void>): Promise<void> {
  if (!existsSync(EXECUTABLE)) {
    console.error(`Chromium was not found at ${EXECUTABLE}. This test needs it: set CHROMIUM to its path.`)
    process.exitCode = 1
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-page-'))
  const closing: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 20 })]
  try {
    const elsewhere = await listen(async () => ({ code: 200, type: 'text/plain', body: Buffer.from('here') }))
    closing.push(elsewhere.close)
    const browser = await chromium.launch({ executablePath: EXECUTABLE, args: [...FLAGS, ...QUIET] })
    closing.push(() => browser.close())
    await play({ browser, elsewhere, folder })
  } catch (error) {
    check('the test ran to its end', false)
    console.error(error)
  } finally {
    for (const close of closing.reverse()) await close()
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`)
  if (counts.failed > 0) process.exitCode = 1
}

/** What a page did, to be checked afterwards. */
export interface Conduct {
  /** Errors and warnings in the console. */
  errors: string[]
  /** The requested addresses. */
  requests: string[]
}

export function watch(context: BrowserContext): Conduct {
  const conduct: Conduct = { errors: [], requests: [] }
  context.on('request', (request) => conduct.requests.push(request.url()))
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') conduct.errors.push(message.text())
  })
  context.on('weberror', (error) => conduct.errors.push(String(error.error())))
  return conduct
}
