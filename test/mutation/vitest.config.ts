// Runs the tests against mutants, in one thread that stays.
import { fileURLToPath } from 'node:url'
import { mergeConfig, type ViteUserConfig } from 'vitest/config'
import config from '../../vitest.config.ts'

/** How the source imports the module that starts threads. */
export const THREADS = '../core/threads.ts'

const merged: ViteUserConfig = mergeConfig(config, {
  resolve: {
    alias: [{ find: THREADS, replacement: fileURLToPath(new URL('same-thread.ts', import.meta.url)) }],
  },
  test: {
    pool: 'threads',
    fileParallelism: false,
    runner: './test/mutation/in-thread.ts',
    // A mutant could make a request to a server wait for a long time. Tests without servers reach the same lines.
    env: { WITHOUT_SERVERS: '1' },
  },
})
merged.test!.include = ['test/mutation/all.ts']
merged.test!.reporters = []

export default merged
