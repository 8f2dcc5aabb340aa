// Threads of the platform: node:worker_threads in Node, Bun and Deno, module workers in browsers.
import type * as WorkerThreads from 'node:worker_threads'
import { builtinModule } from '../primitives/node-crypto.ts'

/** One end of the channel between two threads. */
export interface Port {
  post(message: unknown, moved: ArrayBuffer[]): void
  listen(onMessage: (message: unknown) => void): void
}

/** A worker thread, as seen by the thread that started it. */
export interface Thread extends Port {
  /** Calls `report` when the thread ends by itself, or cannot start. It may be called more than once. */
  onDeath(report: (cause: unknown) => void): void
  /** Sets whether the thread keeps the process running. */
  hold(isBusy: boolean): void
  terminate(): Promise<void>
}

/** The parts of a browser's Worker, and of the global scope inside it, that this file uses. */
interface WebPort {
  postMessage(message: unknown, moved: ArrayBuffer[]): void
  addEventListener(type: string, listener: (event: { data?: unknown; message?: string; error?: unknown }) => void): void
  terminate?(): void
}

/** Returns node:worker_threads, or undefined in browsers. */
const nodeThreads = () => builtinModule('node:worker_threads') as typeof WorkerThreads | undefined

/** Returns how many threads the machine can run at once, or 2 if that is unknown. */
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
      worker.once('exit', (code) => report(new Error(`the worker thread ended with code ${code}`)))
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
      worker.addEventListener('messageerror', () => report(new Error('a message from the worker could not be read')))
    },
    hold: () => undefined,
    terminate: async () => worker.terminate?.(),
  }
}

/** In a worker, returns the channel to the thread that started it. */
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
