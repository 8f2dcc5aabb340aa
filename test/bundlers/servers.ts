// Servers for the pages that a tool has built: one of files as they are, or the tool's own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createPort } from 'node:net'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { resultOfPage } from './outcome.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.map': 'application/json',
}

/**
 * Serves a folder, opens a page of it in Chromium, and returns its result.
 * @param script the script of the page, for a folder without an index.html
 */
export async function resultOfFolder(folder: string, script?: string): Promise<object> {
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const path = join(folder, pathname === '/' ? 'index.html' : pathname)
    const isPage = pathname === '/' && script !== undefined
    const found = isPage || (existsSync(path) && statSync(path).isFile())
    response.writeHead(found ? 200 : 404, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' })
    response.end(isPage ? pageOf(script) : found ? readFileSync(path) : '')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    return await resultOfPage(`http://localhost:${(server.address() as AddressInfo).port}/`)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

const pageOf = (script: string) => `<!doctype html><p id="result"></p><script type="module" src="/${script}"></script>`

/** Starts a tool's own server, calls `use` with its address, and ends it. */
export async function withServer<T>(
  folder: string,
  args: (port: string) => string[],
  use: (url: string) => Promise<T>,
  env: NodeJS.ProcessEnv = {},
): Promise<T> {
  const port = await freePort()
  const server = spawn(process.execPath, args(String(port)), {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(server, 'exit')
  try {
    const url = `http://localhost:${port}`
    await eventually(url)
    return await use(url)
  } finally {
    server.kill()
    await ended
  }
}

/** Waits for a server that is starting. */
async function eventually(url: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await (await fetch(url)).arrayBuffer()
      return
    } catch (error) {
      if (tries === 60) throw error
      await pause(500)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createPort().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
