// Threads of the platform: node:worker_threads where there are any (Node, Bun, Deno), else the module workers of browsers.
import type * as WorkerThreads from 'node:worker_threads'
import { builtinModule } from '../primitives/node-crypto.ts'

/** One side of a thread. */
export interface Port {
  post(message: unknown, moved: ArrayBuffer[]): void
  listen(onMessage: (message: unknown) => void): void
}

/** A thread, seen from the one that started it. */
export interface Thread extends Port {
  /** Called once, when it ends by itself, or cannot run at all. */
  onDeath(report: (cause: unknown) => void): void
  /** Whether it keeps the process from ending. */
  hold(isBusy: boolean): void
  terminate(): Promise<void>
}

/** What this uses of a browser's worker, and of the scope inside. */
interface WebPort {
  postMessage(message: unknown, moved: ArrayBuffer[]): void
  addEventListener(type: string, listener: (event: { data?: unknown; message?: string; error?: unknown }) => void): void
  terminate?(): void
}

/** Undefined in browsers. */
const nodeThreads = () => builtinModule('node:worker_threads') as typeof WorkerThreads | undefined

/** How many threads can run at once. */
export function processorCount(): number {
  const node = (
    builtinModule('node:os') as { availableParallelism?: () => number } | undefined
  )?.availableParallelism?.()
  return node ?? (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 2
}

export function startThread(url: URL): Thread {
  const node = nodeThreads()
  return node === undefined ? startWebThread(url) : startNodeThread(node, url)
}

function startNodeThread({ Worker }: typeof WorkerThreads, url: URL): Thread {
  const worker = new Worker(url)
  return {
    post: (message, moved) => worker.postMessage(message, moved),
    listen: (onMessage) => void worker.on('message', onMessage),
    onDeath(report) {
      worker.once('error', report)
      worker.once('exit', (code) => report(new Error(`it ended with code ${code}`)))
    },
    hold: (isBusy) => (isBusy ? worker.ref() : worker.unref()),
    async terminate() {
      await worker.terminate()
    },
  }
}

function startWebThread(url: URL): Thread {
  const { Worker } = globalThis as unknown as { Worker: new (url: URL, options: { type: 'module' }) => WebPort }
  const worker = new Worker(url, { type: 'module' })
  return {
    post: (message, moved) => worker.postMessage(message, moved),
    listen: (onMessage) => worker.addEventListener('message', ({ data }) => onMessage(data)),
    onDeath(report) {
      worker.addEventListener('error', ({ error, message }) => report(error ?? new Error(message)))
      worker.addEventListener('messageerror', () => report(new Error('a message that could not be read')))
    },
    hold: () => undefined,
    terminate: async () => worker.terminate?.(),
  }
}

/** In a worker: the way to who started it. */
export function platformPort(): Port {
  const parent = nodeThreads()?.parentPort
  if (parent != null) {
    return {
      post: (message, moved) => parent.postMessage(message, moved),
      listen: (onMessage) => void parent.on('message', onMessage),
    }
  }
  const scope = globalThis as unknown as WebPort
  return {
    post: (message, moved) => scope.postMessage(message, moved),
    listen: (onMessage) => scope.addEventListener('message', ({ data }) => onMessage(data)),
  }
}
