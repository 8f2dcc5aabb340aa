// Next: a page, a route on Node, and a route in the edge runtime, where process.getBuiltinModule throws.
import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { assertRoundTrip, output, resultOfPage } from './outcome.ts'

const QUIET = { NEXT_TELEMETRY_DISABLED: '1' }

export async function checkNext(folder: string): Promise<string[]> {
  const next = join(folder, 'node_modules/next/dist/bin/next')
  const log = await output(folder, process.execPath, [next, 'build'], QUIET)
  assert.doesNotMatch(log, /not supported in the Edge Runtime|Module not found|Critical dependency/)

  const port = await freePort()
  const server = spawn(process.execPath, [next, 'start', '--port', String(port)], {
    cwd: folder,
    env: { ...process.env, ...QUIET },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(server, 'exit')
  try {
    const url = `http://localhost:${port}`
    const lines: string[] = []
    for (const [path, backend] of [
      ['edge', 'web'],
      ['node', 'node'],
    ] as const) {
      const answer = (await (await eventually(`${url}/${path}`)).json()) as { ok: boolean; backend: string }
      assertRoundTrip(answer)
      assert.deepEqual({ ok: answer.ok, backend: answer.backend }, { ok: true, backend }, JSON.stringify(answer))
      lines.push(`route on ${path}: seals, opens, refuses damage; the self-test is ok, with the ${backend} backend`)
    }
    assertRoundTrip(await resultOfPage(url))
    return [...lines, 'page in Chromium: seals, opens, refuses damage']
  } finally {
    server.kill()
    await ended
  }
}

/** Fetches from a server that is starting. */
async function eventually(url: string): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      return await fetch(url)
    } catch (error) {
      if (tries === 60) throw error
      await pause(500)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
