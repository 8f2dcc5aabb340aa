// Jest, with both ways to test a product that docs/threads.md shows, on Node 20 and 22, in both of its environments.
import { join } from 'node:path'
import { programOf, RUNTIMES } from '../runtimes/runtimes.ts'
import { output } from './outcome.ts'

/** Each configuration, the test file that it is for, and what Node needs for it. */
const WAYS = [
  { config: 'modules.config.js', test: 'backup.test.js', env: { NODE_OPTIONS: '--experimental-vm-modules' } },
  { config: 'commonjs.config.js', test: 'portable.test.js', env: {} },
]

export async function checkJest(folder: string): Promise<string[]> {
  const lines: string[] = []
  for (const runtime of ['node20', 'node22']) {
    const node = programOf(RUNTIMES[runtime]!)
    for (const { config, test, env } of WAYS) {
      for (const environment of ['node', 'jsdom']) {
        const start = performance.now()
        const options = ['--config', config, '--env', environment, '--ci', '--testTimeout', '60000']
        const log = await output(folder, node, [join(folder, 'node_modules/jest/bin/jest.js'), ...options, test], env)
        if (!/Tests: +3 passed, 3 total/.test(log)) throw new Error(`Jest did not run all tests\n${log}`)
        const seconds = ((performance.now() - start) / 1000).toFixed(1)
        lines.push(`${runtime}, ${environment}, ${config}: ${seconds} s`)
      }
    }
  }
  return lines
}
