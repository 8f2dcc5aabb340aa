// npm run bench:browser -- [--json]
// Runs the bench in headless Chromium ($CHROMIUM, or /usr/bin/chromium), with a page that only this machine can reach.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { BrowserRow } from './page.ts'

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync']
const QUIET = ['--disable-background-networking', '--disable-component-update']

const LONGEST_MS = 300_000

type Answer = { browser: string; rows: BrowserRow[] } | { error: string }

const bundled = await build({
  entryPoints: [join(import.meta.dirname, 'page.ts')],
  bundle: true,
  format: 'esm',
  target: 'es2022',
  write: false,
})
const script = bundled.outputFiles[0]!.text
const profile = mkdtempSync(join(tmpdir(), 'keystrata-chromium-'))
let browser: ChildProcess | undefined
const server = createServer()
try {
  const answer = await new Promise<Answer>((resolve, reject) => {
    server.once('error', reject)
    setTimeout(() => reject(new Error('the page sent no result within 5 minutes')), LONGEST_MS).unref()
    server.on('request', (request, response) => {
      if (request.method === 'POST') {
        let body = ''
        request.on('data', (chunk: Buffer) => (body += chunk.toString()))
        request.on('end', () => {
          response.end()
          resolve(JSON.parse(body) as Answer)
        })
      } else if (request.url === '/page.js') {
        response.setHeader('content-type', 'text/javascript').end(script)
      } else {
        response.setHeader('content-type', 'text/html').end('<script type="module" src="/page.js"></script>')
      }
    })
    server.listen(0, 'localhost', () => {
      const { port } = server.address() as AddressInfo
      const chromium = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
      browser = spawn(chromium, [...FLAGS, ...QUIET, `--user-data-dir=${profile}`, `http://localhost:${port}/`], {
        stdio: 'ignore',
      })
      browser.once('error', reject)
      browser.once('exit', (code) =>
        reject(new Error(`${chromium} exited with code ${code} before the page sent a result`)),
      )
    })
  })
  if ('error' in answer) throw new Error(answer.error)
  if (process.argv.includes('--json')) console.log(JSON.stringify(answer, undefined, 1))
  else {
    console.log(answer.browser)
    for (const { work, bytes, web, portable, gain } of answer.rows) {
      console.log(
        `${work.padEnd(20)} ${bytes / 1024} KiB: ${web} MB/s with WebCrypto, ${portable} MB/s portable: ${gain} × as fast`,
      )
    }
  }
} finally {
  if (browser?.exitCode === null) {
    browser.removeAllListeners('exit')
    const ended = once(browser, 'exit')
    browser.kill()
    await ended
  }
  server.closeAllConnections()
  server.close()
  // Child processes of Chromium may still write to the profile for a moment.
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
