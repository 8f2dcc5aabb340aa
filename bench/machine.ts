// Describes the machine of a run.
import { backend } from '../test/platforms.ts'
import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'

export interface Machine {
  node: string
  openssl: string
  backend: string
  providers: Readonly<Record<string, string>>
  cpu: string
  cores: number
  memoryGiB: number
  system: string
  /** The commit of the library, with a `+` if files were changed since. */
  commit: string
  date: string
}

export function describeMachine(): Machine {
  const { name, providers } = backend()
  return {
    node: process.version,
    openssl: process.versions.openssl,
    backend: name,
    providers,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    commit: commit(),
    date: new Date().toISOString().slice(0, 10),
  }
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', '../src', '../package-lock.json') !== ''
    return git('rev-parse', '--short', 'HEAD').trim() + (changed ? '+' : '')
  } catch {
    return 'unknown'
  }
}
