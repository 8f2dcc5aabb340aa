// Starts the processes of the tests of user-service.ts, and collects what they print.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface Process {
  readonly child: ChildProcess
  /** Everything that it has printed. */
  said(): string
  /** Waits for the next line on its output. */
  line(): Promise<string>
  /** Waits for its end. Returns the exit code, or the signal that killed it. */
  ended(): Promise<number | string | null>
}

/** Starts a TypeScript file of this repository. */
export function start(path: string, args: readonly string[], env: Record<string, string> = {}): Process {
  const root = join(import.meta.dirname, '../..')
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, path), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  })
  let [said, read] = ['', 0]
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => ((stdout += text), (said += text)))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>
  return {
    child,
    said: () => said,
    async line() {
      for (;;) {
        const end = stdout.indexOf('\n', read)
        if (end >= 0) {
          const line = stdout.slice(read, end)
          read = end + 1
          return line
        }
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${path} has ended: ${said}`)
        await Promise.race([once(child.stdout, 'data'), exit])
      }
    },
    async ended() {
      const [code, signal] = await exit
      return signal ?? code
    },
  }
}

/** Kills a process by its id, if it still runs, and waits for its end. */
export async function stop({ child, ended }: Process): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await ended()
}
