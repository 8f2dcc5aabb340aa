// npm run test:chromium: runs the suite in headless Chromium (CHROMIUM, or /usr/bin/chromium), with the web and the
// portable backend.
import { realpathSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import type { Plugin } from 'vite'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { EXCLUDED } from './excluded.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * What worker files contain in the browser. There, workers import the source as vite serves it. The files for Node load
 * tsx first, and one of them ends its process. The thread for password hashes, which is for servers, does not start.
 */
const threads: Readonly<Record<string, string>> = {
  'examples/worker.mjs': `import '/src/pool/worker.ts'`,
  'src/server/hash-thread.ts': `throw new Error('no server runs in a browser')`,
  'test/pool/mortal.mjs': `
    import '/test/pool/mortal.mjs?first'
    import '/src/pool/worker.ts'`,
  'test/pool/mortal.mjs?first': `
    addEventListener('message', (event) => {
      if (event.data.task.content?.length !== 666 + 128) return
      event.stopImmediatePropagation()
      throw new Error('dead')
    })`,
}
const threadsFromSource: Plugin = {
  name: 'threads-from-source',
  enforce: 'pre',
  load: (id) => threads[relative(root, id)],
}

const config: ViteUserConfig = defineConfig({
  root,
  plugins: [threadsFromSource],
  resolve: {
    alias: [
      { find: 'node:crypto', replacement: here('chromium/crypto.ts') },
      { find: 'node:vm', replacement: here('chromium/vm.ts') },
      { find: /^.*\/files\.ts$/, replacement: here('chromium/files.ts') },
      { find: /^(?:\.\.?\/)+memory\.ts$/, replacement: here('chromium/memory.ts') },
    ],
  },
  // Bundled before the first test. Otherwise vite would find them later and reload the page during a test.
  optimizeDeps: { include: ['buffer/', 'des.js', 'fast-check', 'bcryptjs', 'micro-packed'] },
  // node_modules may be a link to another folder.
  server: { fs: { allow: [root, dirname(realpathSync(`${root}node_modules/vitest`))] } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: EXCLUDED['chromium']!.map(({ file }) => file),
    setupFiles: [here('chromium/setup.ts')],
    isolate: false,
    reporters: ['default', './test/plain-summary.ts'],
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: 'chromium' }],
      provider: playwright({
        launchOptions: {
          executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
          args: [
            ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
            ...['--disable-background-networking', '--disable-component-update'],
            ...['--enable-precise-memory-info', '--js-flags=--expose-gc'],
            // Tests use shared memory, which a page otherwise gets only with cross-origin isolation headers.
            '--enable-features=SharedArrayBuffer',
          ],
        },
      }),
    },
  },
})

export default config
