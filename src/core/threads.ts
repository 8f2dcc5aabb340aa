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

/** A Worker of node:worker_threads or of the web, as far as types can tell: both have more. */
export interface AnyWorker {
  postMessage(message: unknown): void
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
 * @param source the URL of its file, or a function that returns a new Worker
 * @throws Error if the platform has no threads, or refuses the URL at once. Most threads that cannot start report their
 *   death instead.
 * @throws TypeError if the function does not return a Worker
 */
export function startThread(source: URL | (() => AnyWorker)): Thread {
  const node = nodeThreads()
  if (typeof source === 'function') return threadOf(source())
  return node === undefined ? threadOfWeb(startWebWorker(source)) : threadOfNode(startNodeWorker(node, source))
}

/** A Worker of Node has `on`, one of the web has `addEventListener` alone. Bun and Deno have both kinds. */
function threadOf(worker: AnyWorker | undefined): Thread {
  const { on, addEventListener, postMessage } = (worker ?? {}) as Partial<WorkerThreads.Worker & WebPort>
  if (typeof postMessage === 'function') {
    if (typeof on === 'function') return threadOfNode(worker as WorkerThreads.Worker)
    if (typeof addEventListener === 'function') return threadOfWeb(worker as unknown as WebPort)
  }
  throw new TypeError('the function `worker` did not return a Worker')
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

function startNodeWorker({ Worker }: typeof WorkerThreads, given: URL): WorkerThreads.Worker {
  // A URL of Node. In Jest's environment of a browser, the global class is another one.
  const { URL } = builtinModule('node:url') as { URL: new (text: string) => URL }
  const url = new URL(given.href)
  const options = optionsForThread()
  if (options === undefined) return new Worker(url)
  // Node refuses a list with options that belong to the whole process. Those hold in the thread in any case.
  return ifThere(() => new Worker(url, { execArgv: options })) ?? new Worker(url, { execArgv: [] })
}

function threadOfNode(worker: WorkerThreads.Worker): Thread {
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

function startWebWorker(url: URL): WebPort {
  const { Worker } = globalThis as { Worker?: new (url: string, options: { type: 'module' }) => WebPort }
  if (Worker === undefined) throw new Error('this platform has no worker threads')
  return new Worker(url.href, { type: 'module' })
}

function threadOfWeb(worker: WebPort): Thread {
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
