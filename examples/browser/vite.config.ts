// Builds the page into `dist` here: plain files, for any folder of any server.
import { fileURLToPath } from 'node:url'
import { defineConfig, type UserConfig } from 'vite'

const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: {
    alias: { keystrata: fileURLToPath(new URL('../../src/index.ts', import.meta.url)) },
  },
  build: {
    target: 'es2022',
    // Neither inline code nor fetched modules: the page's policy allows neither.
    modulePreload: false,
    assetsInlineLimit: 0,
  },
})

export default config
