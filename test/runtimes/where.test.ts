import { expect, it } from 'vitest'

// A runner that started its workers by another program than its own would test the wrong runtime unseen.
it(`runs on ${process.env['RUNTIME'] ?? 'any runtime'}`, () => {
  const { bun, deno, node } = process.versions
  const here = bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${node}`
  expect(here).toBe(process.env['RUNTIME'] ?? here)
})
