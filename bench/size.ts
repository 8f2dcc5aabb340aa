// How much the package adds to a product's bundle: named imports, bundled for a browser, minified and gzipped.
import { gzipSync } from 'node:zlib'
import { build, type BuildOptions, type BuildResult } from 'esbuild'

export interface SizeRow {
  what: string
  /** Gzipped. */
  bytes: number
  budget: number
}

/** The size limit for each use of the package, in bytes. A change that needs more must raise the limit here. */
const budgets: readonly [what: string, entry: string, names: string, budget: number][] = [
  ['everything of keystrata', 'keystrata', '*', 95_000],
  ['the error class', 'keystrata', '{ KeystrataError }', 1_000],
  ['cut and join blocks', 'keystrata', '{ parseBlock, encodeBlock }', 4_000],
  ['unlock a keyset and open blocks', 'keystrata', '{ unlockKeyset, parseBlock }', 67_200],
  ['seal blocks without a password', 'keystrata', '{ openWriter, encodeBlock }', 49_800],
  ['log in', 'keystrata/vault', '{ deriveLogin }', 17_000],
  ['a vault', 'keystrata/vault', '{ deriveLogin, openProfile }', 61_900],
  ['a client', 'keystrata/client', '{ deriveClient }', 49_700],
  ['everything of keystrata/vault', 'keystrata/vault', '*', 64_000],
  ['everything of keystrata/client', 'keystrata/client', '*', 59_700],
  ['everything of keystrata/device', 'keystrata/device', '*', 28_400],
  ['everything of keystrata/server', 'keystrata/server', '*', 63_700],
  ['everything of keystrata/recovery', 'keystrata/recovery', '*', 86_000],
  ['recover a keyset by a code', 'keystrata/recovery', '{ deriveRecoveryKey, recoverKeyset }', 73_500],
  ['everything of keystrata/fleet', 'keystrata/fleet', '*', 66_200],
  ['an object as text', 'keystrata/recovery', '{ armor, dearmor }', 13_400],
  ['everything of keystrata/legacy', 'keystrata/legacy', '*', 50_700],
  ['a keyset in a store', 'keystrata', '{ loadKeyset, changeKeyset }', 69_700],
  ['back up and restore by streams', 'keystrata', '{ openWriter, cut, sealInto, openFrom }', 54_500],
  ['a log in a store', 'keystrata', '{ openLog }', 25_800],
  ['blocks in a store', 'keystrata/stores', '{ blocksIn }', 12_600],
  ['everything of keystrata/stores', 'keystrata/stores', '*', 17_900],
  ['the adapter for a folder', 'keystrata/stores/folder', '*', 4_600],
  ['the adapter for PostgreSQL', 'keystrata/stores/postgres', '*', 4_600],
  ['the adapter for IndexedDB', 'keystrata/stores/indexeddb', '*', 4_000],
  ['the adapter for S3', 'keystrata/stores/s3', '*', 5_200],
  ['the adapter for HTTP', 'keystrata/stores/http', '*', 5_600],
  ['everything of keystrata/pool, without its worker', 'keystrata/pool', '*', 7_100],
]

/**
 * Measures the bundle of each use of the package.
 * @param folder a folder in which `import 'keystrata'` finds the built package
 */
export async function measureSizes(folder: string): Promise<SizeRow[]> {
  return Promise.all(
    budgets.map(async ([what, entry, names, budget]) => {
      const { outputFiles } = await bundleOf(folder, `export ${names} from '${entry}'`)
      return { what, bytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length, budget }
    }),
  )
}

/** Bundles a program as a browser would load it. */
export function bundleOf(
  folder: string,
  contents: string,
  options: BuildOptions = {},
): Promise<BuildResult<{ write: false; metafile: true }>> {
  return build({
    ...options,
    stdin: { contents, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['des.js', '@aws-sdk/client-s3', 'node:fs/promises', 'node:path'],
    write: false,
    metafile: true,
    tsconfigRaw: '{}',
    // Hides the warning that an unused import is left out.
    logLevel: 'error',
  })
}
