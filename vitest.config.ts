import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { LONG } from './test/long.ts'

const named = process.argv.filter((arg) => /^(?:\.\/)?test\b/.test(arg))

// The public vectors are not part of the project. VECTORS names the folder that holds them.
const hasVectors = process.env['VECTORS'] !== undefined || named.includes('test/conformance')

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^keystrata$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
      { find: /^keystrata\/pool$/, replacement: fileURLToPath(new URL('test/pool/source-pool.ts', import.meta.url)) },
      { find: /^keystrata\/(\w+(?:\/\w+)?)$/, replacement: fileURLToPath(new URL('src/$1.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // With isolation, every file loads the library again, which takes 15 seconds in total.
    isolate: false,
    exclude: [...(hasVectors ? [] : ['test/conformance']), ...(named.length > 0 ? [] : LONG.map(({ files }) => files))],
    reporters: ['default', './test/plain-summary.ts'],
    // The default leaves one of two cores idle.
    maxWorkers: '100%',
    // A busy machine takes several times as long as an idle one.
    testTimeout: 240_000,
    hookTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      // These files start threads or run in them, where coverage is not measured. Other lines stay uncovered because
      // only other runtimes use them: raw keys and native ML-KEM of newer Node releases, the scheduler of browsers.
      exclude: ['src/pool/{work,worker}.ts', 'src/core/threads.ts', 'src/server/hash-thread.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 98 },
    },
  },
})

export default config
