// What a product's bundle grows by: named imports of the package, bundled for a browser, minified and gzipped.
import { gzipSync } from 'node:zlib'
import { build, type BuildResult } from 'esbuild'

export interface SizeRow {
  what: string
  /** Gzipped. */
  bytes: number
  budget: number
}

/** Most bytes that one use of the package may bring along. A change that costs more says so here. */
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

/** @param folder from which the built package is found by its name */
export async function measureSizes(folder: string): Promise<SizeRow[]> {
  return Promise.all(
    budgets.map(async ([what, entry, names, budget]) => {
      const { outputFiles } = await bundleOf(folder, `export ${names} from '${entry}'`)
      return { what, bytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length, budget }
    }),
  )
}

/** What a browser would load for a program of these lines. */
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
    // It says that an import for nothing is left out.
    logLevel: 'error',
  })
}
