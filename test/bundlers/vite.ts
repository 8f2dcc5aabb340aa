// Vite 8 and 7: a built page, the page of the development server, and programs for Node.
import { join } from 'node:path'
import { assertNoWorker, assertRoundTrips, output, resultOfPage, resultOfProgram } from './outcome.ts'
import { resultOfFolder, withServer } from './servers.ts'

export const checkVite = (folder: string): Promise<string[]> => check(folder, 'vite')
export const checkVite7 = (folder: string): Promise<string[]> => check(folder, 'vite7')

async function check(folder: string, name: string): Promise<string[]> {
  const vite = join(folder, 'node_modules', name, 'bin/vite.js')
  const build = (...options: string[]) => output(folder, process.execPath, [vite, 'build', ...options])

  await build('--outDir', `${name}-page`)
  assertRoundTrips(await resultOfFolder(join(folder, `${name}-page`)), ['pool', 'given'])

  const serve = (port: string) => [vite, '--port', port, '--strictPort', '--logLevel', 'silent']
  const served = await withServer(folder, serve, resultOfPage)
  // Vite 7 puts the library into another folder, and leaves the worker where it is.
  const worksAlone = name === 'vite'
  assertRoundTrips(served, worksAlone ? ['pool', 'given'] : ['given'])
  if (!worksAlone) assertNoWorker(served, /node_modules\/\.vite\/deps\/worker\.js/)

  await build('--ssr', 'program.js', '--outDir', `${name}-external`)
  assertRoundTrips(await resultOfProgram(folder, `${name}-external/program.js`), ['pool'])
  await build('--config', 'vite-node.config.js', '--outDir', `${name}-node`)
  assertRoundTrips(await resultOfProgram(folder, `${name}-node/program.js`), ['pool'])
  return [
    'page in Chromium: works; the pool works by itself, and with a function',
    `page of the development server: works; the pool works ${worksAlone ? 'by itself, and' : 'only'} with a function`,
    'Node, with the library outside and inside: works; the pool too',
  ]
}
