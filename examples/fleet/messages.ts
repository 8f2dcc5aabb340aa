// What the processes of a fleet tell the one that started them. It alone writes to the terminal.
import type { Results } from './results.ts'

export interface Progress {
  /** Jobs. */
  readonly done: number
  readonly total: number
  readonly failed: number
  readonly waiting: number
}

export type Message =
  | { readonly say: string }
  /** What only somebody can solve. The process ends. */
  | { readonly refuse: string }
  /** A worker has begun a job. */
  | { readonly began: string }
  | { readonly planned: number }
  | { readonly progress: Progress }
  | { readonly results: Results }

/** The exit code of a process that must not be started again. */
export const REFUSED = 3

/** Sends a message to the parent. A process that somebody started by hand prints it instead. */
export async function tell(message: Message): Promise<void> {
  if (process.send === undefined) console.log(JSON.stringify(message))
  // The parent may have been killed.
  else if (process.connected) {
    await new Promise((resolve) => process.send!(message, undefined, undefined, resolve))
  }
}

/** Ends this process when its parent is gone, so that nothing stays behind. Ctrl-C is the parent's business. */
export function endWithParent(): void {
  process.on('disconnect', () => process.exit(1))
  process.on('SIGINT', () => undefined)
}

/** Tells the parent why this process ends for good. */
export async function refuse(reason: string): Promise<never> {
  await tell({ refuse: reason })
  process.exit(REFUSED)
}

/** Says why nobody may rekey with this delegation any more, or returns undefined if the error is another one. */
export function whyOver(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  if (code === 'stale-export') return 'the keyset has changed since it was delegated'
  return code === 'expired' ? 'the delegation has expired' : undefined
}
