import { expect, it } from 'vitest'

// Without this test, nobody would notice if the runner started its workers with another program.
it(`runs on ${process.env['RUNTIME'] ?? 'any runtime'}`, () => {
  const { bun, deno, node } = process.versions
  const here = bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${node}`
  expect(here).toBe(process.env['RUNTIME'] ?? here)
})
