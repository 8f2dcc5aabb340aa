// How the example pages are built: plain files that any web server can serve from any path.
import { fileURLToPath } from 'node:url'
import type { UserConfig } from 'vite'

/** @param root the folder of the page. It is built into `dist` there */
export const pageConfig = (root: string): UserConfig => ({
  root,
  base: './',
  resolve: {
    alias: [
      { find: /^keystrata$/, replacement: source('index.ts') },
      { find: /^keystrata\/([\w/]+)$/, replacement: source('$1.ts') },
    ],
  },
  build: {
    target: 'es2022',
    // The security policy of the pages forbids inline code and fetched modules.
    modulePreload: false,
    assetsInlineLimit: 0,
  },
})

const source = (file: string): string => fileURLToPath(new URL(`../../src/${file}`, import.meta.url))
