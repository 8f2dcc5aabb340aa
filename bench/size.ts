// How much the package adds to a product's bundle: named imports, bundled for a browser, minified and gzipped.
import { gzipSync } from 'node:zlib'
import { build, type BuildResult } from 'esbuild'

export interface SizeRow {
  what: string
  /** Gzipped. */
  bytes: number
  budget: number
}

/** The size limit for each use of the package, in bytes. A change that needs more must raise the limit here. */
const budgets: readonly [what: string, entry: string, names: string, budget: number][] = [
  ['everything of keystrata', 'keystrata', '*', 82_000],
  ['unlock a keyset and open blocks', 'keystrata', '{ unlockKeyset, parseBlock }', 66_100],
  ['seal blocks without a password', 'keystrata', '{ openWriter, encodeBlock }', 59_000],
  ['a vault', 'keystrata', '{ deriveLogin, openProfile }', 61_000],
  ['a client', 'keystrata', '{ deriveClient }', 59_000],
  ['everything of keystrata/server', 'keystrata/server', '*', 79_000],
  ['everything of keystrata/legacy', 'keystrata/legacy', '*', 62_000],
  ['everything of keystrata/pool, without its worker', 'keystrata/pool', '*', 15_000],
]

/** @param folder a folder in which `import 'keystrata'` finds the built package */
export async function measureSizes(folder: string): Promise<SizeRow[]> {
  return Promise.all(
    budgets.map(async ([what, entry, names, budget]) => {
      const { outputFiles } = await bundleOf(folder, `export ${names} from '${entry}'`)
      return { what, bytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length, budget }
    }),
  )
}

/** Bundles a program as a browser would load it. */
export function bundleOf(folder: string, contents: string): Promise<BuildResult<{ write: false; metafile: true }>> {
  return build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['des.js'],
    write: false,
    metafile: true,
    tsconfigRaw: '{}',
    // Hides the warning that an unused import is left out.
    logLevel: 'error',
  })
}
