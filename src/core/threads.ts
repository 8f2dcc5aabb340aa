// Threads of the platform: node:worker_threads in Node, Bun and Deno, module workers in browsers.
import type * as WorkerThreads from 'node:worker_threads'
import { builtinModule, ifThere } from '../primitives/node-crypto.ts'

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
  const os = builtinModule('node:os') as { availableParallelism?: () => number } | undefined
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } }
  return ifThere(() => os?.availableParallelism?.()) ?? ifThere(() => navigator?.hardwareConcurrency) ?? 2
}

/**
 * Starts a thread.
 * @throws Error if the platform has no threads, or refuses the URL at once. Most threads that cannot start report their
 *   death instead.
 */
export function startThread(url: URL): Thread {
  const node = nodeThreads()
  return node === undefined ? startWebThread(url) : startNodeThread(node, url)
}

/**
 * Returns the options of `node` that a thread gets. A thread that inherits `--input-type` cannot start.
 * @returns undefined if it can inherit all of them
 */
function optionsForThread(): string[] | undefined {
  const { process } = globalThis as { process?: { execArgv?: readonly string[] } }
  const options = ifThere(() => process?.execArgv) ?? []
  const inputType = '--input-type'
  if (!options.some((option) => option.startsWith(inputType))) return undefined
  // Its value may be an argument of its own.
  return options.filter((option, index) => !option.startsWith(inputType) && options[index - 1] !== inputType)
}

function startNodeThread({ Worker }: typeof WorkerThreads, given: URL): Thread {
  // A URL of Node. In Jest's environment of a browser, the global class is another one.
  const { URL } = builtinModule('node:url') as { URL: new (text: string) => URL }
  const url = new URL(given.href)
  const options = optionsForThread()
  const worker =
    options === undefined
      ? new Worker(url)
      : // Node refuses a list with options that belong to the whole process. Those hold in the thread in any case.
        (ifThere(() => new Worker(url, { execArgv: options })) ?? new Worker(url, { execArgv: [] }))
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
  const { Worker } = globalThis as { Worker?: new (url: string, options: { type: 'module' }) => WebPort }
  if (Worker === undefined) throw new Error('this platform has no worker threads')
  const worker = new Worker(url.href, { type: 'module' })
  return {
    post: (message, moved) => worker.postMessage(message, moved),
    listen: (onMessage) => worker.addEventListener('message', ({ data }) => onMessage(data)),
    onDeath(report) {
      // Browsers do not say why a file could not be loaded.
      const unknown = 'the file was not found, is not this module, or the content security policy forbids it'
      worker.addEventListener('error', ({ error, message = '' }) =>
        report(error ?? new Error(message === '' ? unknown : message)),
      )
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
