import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^keystrata$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
      { find: /^keystrata\/pool$/, replacement: fileURLToPath(new URL('test/pool/source-pool.ts', import.meta.url)) },
      { find: /^keystrata\/(\w+)$/, replacement: fileURLToPath(new URL('src/$1.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/setup.ts'],
    // Every file would load the library anew, which takes a quarter of a minute in all.
    isolate: false,
    // The public vectors are not part of the project: VECTORS says where they are.
    exclude:
      process.env['VECTORS'] === undefined && !process.argv.includes('test/conformance') ? ['test/conformance'] : [],
    reporters: ['default', './test/plain-summary.ts'],
    // The default leaves one core of two idle.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      // What starts threads and what runs in them, where nobody counts. The rest that is not covered on one runtime are the paths of
      // the others: raw keys and native ML-KEM of newer Nodes, the scheduler of browsers.
      exclude: ['src/pool/{work,worker,threads}.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 98 },
    },
  },
})

export default config
