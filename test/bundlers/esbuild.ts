// esbuild, which copies no file that `new URL()` names: the worker has to be one of its entry points.
import { join } from 'node:path'
import { assertNoWorker, assertRoundTrip, assertRoundTrips, output, resultOfProgram } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

const WORKER = 'worker=keystrata/pool/worker'

export async function checkEsbuild(folder: string): Promise<string[]> {
  const build = async (outdir: string, ...options: string[]) => {
    const common = ['--bundle', '--minify', '--log-level=warning', `--outdir=${outdir}`]
    const args = ['node_modules/esbuild/bin/esbuild', ...options, ...common]
    const log = await output(folder, process.execPath, args)
    if (log !== '') throw new Error(`esbuild warns\n${log}`)
    return join(folder, outdir)
  }
  const alone = await resultOfFolder(await build('esbuild-alone', 'program.js', '--format=esm'), 'program.js')
  assertRoundTrip(alone)
  assertNoWorker(alone, /localhost:\d+\/worker\.js/)
  const page = await build('esbuild-page', 'program.js', WORKER, '--format=esm')
  assertRoundTrips(await resultOfFolder(page, 'program.js'), ['pool'])
  // esbuild warns that import.meta is empty there.
  const script = await build(
    'esbuild-script',
    'placed.js',
    WORKER,
    '--format=iife',
    '--log-override:empty-import-meta=silent',
  )
  assertRoundTrips(await resultOfFolder(script, 'placed.js'), ['pool'])

  await build('esbuild-node', 'program.js', WORKER, '--platform=node', '--format=esm')
  await build('esbuild-external', 'program.js', '--platform=node', '--format=esm', '--packages=external')
  for (const place of ['esbuild-node', 'esbuild-external'])
    assertRoundTrips(await resultOfProgram(folder, `${place}/program.js`), ['pool'])
  return [
    'page in Chromium: works; the pool works with the worker as an entry point, and without it says where it looked',
    'page with a script that is no module: works; the pool works with a URL',
    'Node, with the library outside and inside: works; the pool too',
  ]
}
