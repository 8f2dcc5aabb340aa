// webpack and Rspack, which copy what `new URL('./worker.js', import.meta.url)` names: a page, and a program for Node.
import { assertRoundTrips, output, resultOfProgram } from './outcome.ts'
import { resultOfFolder } from './servers.ts'

export const checkWebpack = (folder: string): Promise<string[]> => check(folder, 'webpack')
export const checkRspack = (folder: string): Promise<string[]> => check(folder, 'rspack')

async function check(folder: string, tool: string): Promise<string[]> {
  await output(folder, process.execPath, ['webpack.js', tool])
  assertRoundTrips(await resultOfFolder(`${folder}/${tool}-page`, 'main.js'), ['pool', 'given'])
  assertRoundTrips(await resultOfProgram(folder, `${tool}-node/main.cjs`), ['pool'])
  return ['page in Chromium: works; the pool works by itself, and with a function', 'Node: works; the pool too']
}
