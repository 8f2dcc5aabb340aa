// Rollup, which copies no file that `new URL()` names: the worker has to be one of its inputs.
import { join } from 'node:path'
import { assertNoWorker, assertRoundTrip, assertRoundTrips, output, resultOfProgram } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

export async function checkRollup(folder: string): Promise<string[]> {
  await output(folder, process.execPath, ['node_modules/rollup/dist/bin/rollup', '--config', '--failAfterWarnings'])
  const alone = await resultOfFolder(join(folder, 'rollup-alone'), 'program.js')
  assertRoundTrip(alone)
  assertNoWorker(alone, /localhost:\d+\/worker\.js/)
  assertRoundTrips(await resultOfFolder(join(folder, 'rollup-page'), 'program.js'), ['pool'])
  for (const place of ['rollup-node', 'rollup-external'])
    assertRoundTrips(await resultOfProgram(folder, `${place}/program.js`), ['pool'])
  return [
    'page in Chromium: works; the pool works with the worker as an input, and without it says where it looked',
    'Node, with the library outside and inside: works; the pool too',
  ]
}
