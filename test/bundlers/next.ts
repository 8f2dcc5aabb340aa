// Next: a page, a route on Node, and a route in the edge runtime, where process.getBuiltinModule throws.
import { strict as assert } from 'node:assert'
import { join } from 'node:path'
import { assertNoWorker, assertRoundTrip, assertRoundTrips, output, resultOfPage } from './outcome.ts'
import { withServer } from './servers.ts'

const QUIET = { NEXT_TELEMETRY_DISABLED: '1' }

export async function checkNext(folder: string): Promise<string[]> {
  const next = join(folder, 'node_modules/next/dist/bin/next')
  const log = await output(folder, process.execPath, [next, 'build'], QUIET)
  assert.doesNotMatch(log, /not supported in the Edge Runtime|Module not found|Critical dependency/)

  const start = (port: string) => [next, 'start', '--port', port]
  return withServer(folder, start, async (url) => [...(await checkRoutes(url)), await checkPage(url)], QUIET)
}

async function checkRoutes(url: string): Promise<string[]> {
  const lines: string[] = []
  for (const [path, backend] of [
    ['edge', 'web'],
    ['node', 'node'],
  ] as const) {
    const answer = (await (await fetch(`${url}/${path}`)).json()) as { ok: boolean; backend: string }
    assertRoundTrip(answer)
    if (path === 'edge') assertNoWorker(answer, /this platform has no worker threads/)
    else assertRoundTrips(answer, ['pool'])
    assert.deepEqual({ ok: answer.ok, backend: answer.backend }, { ok: true, backend }, JSON.stringify(answer))
    const threads = path === 'edge' ? 'no threads, which the pool says' : 'the pool works'
    lines.push(`route on ${path}: works, with the ${backend} backend; ${threads}; the self-test is ok`)
  }
  return lines
}

async function checkPage(url: string): Promise<string> {
  assertRoundTrips(await resultOfPage(url), ['pool', 'given'])
  return 'page in Chromium: works; the pool works by itself, and with a function'
}
