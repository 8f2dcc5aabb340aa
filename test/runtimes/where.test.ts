import { expect, it } from 'vitest'

const BROWSERS = ['Firefox', 'Chrome']

// Without this test, nobody would notice if the runner started its workers with another program.
it(`runs on ${process.env['RUNTIME'] ?? 'any runtime'}`, () => {
  const { bun, deno, node } = process.versions
  // Node, Bun and Deno have a `navigator` too.
  const { userAgent = '' } = (globalThis as { navigator?: { userAgent?: string } }).navigator ?? {}
  const browser = BROWSERS.find((name) => userAgent.includes(name))
  const here = browser ?? (bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${node}`)
  expect(here).toBe(process.env['RUNTIME'] ?? here)
})
