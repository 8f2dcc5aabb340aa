// Builds a model again, with some files of the library changed. So a model can show that it notices a broken rule, and
// no file of the library needs a parameter for it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = resolve(import.meta.dirname, '../..')

/** Changes the text of a file. */
export type Edit = (text: string) => string

/** Files below the project, and how to change each. */
export type Edits = Readonly<Record<string, Edit>>

/**
 * Returns the edit that replaces one piece of text by another.
 * @throws Error if the text does not occur exactly once, because then the file has changed
 */
export const replacing =
  (...pairs: readonly (readonly [before: string, after: string])[]): Edit =>
  (text) =>
    pairs.reduce((edited, [before, after]) => {
      const parts = edited.split(before)
      if (parts.length !== 2) throw new Error(`"${before}" occurs ${parts.length - 1} times, not once: adapt the edit`)
      return parts.join(after)
    }, text)

const SIGNATURE = join(root, 'src/primitives/signature.ts')

const changing = (edits: Edits): Plugin => ({
  name: 'changing',
  setup({ onLoad, onResolve }) {
    // The models use nothing of vitest. The checks of their reports do, and run outside.
    onResolve({ filter: /^vitest$/ }, ({ path }) => ({ path, namespace: 'nothing' }))
    onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'export const expect = undefined' }))
    onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path }) => {
      if (path === SIGNATURE) return { contents: "export * from '../../test/models/quick-signature.ts'", loader: 'ts' }
      const edit = Object.entries(edits).find(([name]) => path === join(root, name))?.[1]
      return edit && { contents: edit(readFileSync(path, 'utf8')), loader: 'ts' }
    })
  },
})

/**
 * Builds a module of this folder with everything that it imports, and loads it. It shares nothing with other modules of
 * the test. Signatures are those of node:crypto, which are quicker.
 * @throws Error if one of the edits does not fit
 */
export async function rebuilt<T>(module: string, edits: Edits = {}): Promise<T> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, module)],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
    // Worker threads find their code by it. The models start none.
    define: { 'import.meta.url': '"file:///nowhere"', 'import.meta.dirname': '"/nowhere"' },
    tsconfig: join(root, 'tsconfig.json'),
    plugins: [changing(edits)],
  })
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-model-'))
  try {
    const path = join(folder, 'model.cjs')
    writeFileSync(path, outputFiles[0]!.contents)
    return createRequire(import.meta.url)(path) as T
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
