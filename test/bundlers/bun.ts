// Bun as a bundler, for pages, for Node and for itself: it copies a file that is imported as one.
import { join } from 'node:path'
import { programOf, RUNTIMES } from '../runtimes/runtimes.ts'
import { assertNoWorker, assertRoundTrip, assertRoundTrips, output, resultOfProgram } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

export async function checkBun(folder: string): Promise<string[]> {
  const bun = programOf(RUNTIMES['bun']!)
  const build = (...options: string[]) => output(folder, bun, ['build', ...options])

  await build('program.js', '--outdir', 'bun-alone')
  const alone = await resultOfFolder(join(folder, 'bun-alone'), 'program.js')
  assertRoundTrip(alone)
  assertNoWorker(alone, /localhost:\d+\/worker\.js/)
  await build('bun.js', '--outdir', 'bun-page')
  assertRoundTrips(await resultOfFolder(join(folder, 'bun-page'), 'bun.js'), ['pool'])
  await build('program.js', 'keystrata/pool/worker', '--entry-naming', '[name].[ext]', '--outdir', 'bun-beside')
  assertRoundTrips(await resultOfFolder(join(folder, 'bun-beside'), 'program.js'), ['pool'])

  for (const [target, program] of [
    ['node', process.execPath],
    ['bun', bun],
  ] as const) {
    await build('bun.js', '--target', target, '--outdir', `bun-${target}`)
    assertRoundTrips(await resultOfProgram(folder, `bun-${target}/bun.js`, program), ['pool'])
  }
  return [
    'page in Chromium: works; the pool works with the worker imported as a file, or beside the page as an entry point',
    'Node and Bun: works; the pool works with the worker imported as a file',
  ]
}
