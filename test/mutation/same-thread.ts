// Replaces src/core/threads.ts while mutants run. The workers of a pool then run in the one thread where the mutant is
// switched on.
import { MessageChannel } from 'node:worker_threads'
import { type Request } from '../../src/pool/messages.ts'
import { type AnyWorker, startThread as startRealThread, type Thread } from '../../src/core/threads.ts'
import { Work } from '../../src/pool/work.ts'

// startThread below takes the place of the one of this module. Everything else stays as it is.
export * from '../../src/core/threads.ts'

/** Tells whether a request kills the worker of the tests (test/pool/mortal.mjs): 666 bytes and the room around them. */
const isDeadly = ({ task }: Request): boolean => 'content' in task && task.content.length === 666 + 128

export function startThread(url: URL | (() => AnyWorker)): Thread {
  // Tests pass functions to try what such a function may return.
  if (typeof url === 'function') return startRealThread(url)
  const { port1: outer, port2: inner } = new MessageChannel()
  const work = new Work((reply, moved) => inner.postMessage(reply, moved))
  let die: (cause: unknown) => void = () => undefined
  inner.on('message', (request: Request) => {
    // Only workers of a pool run here. A thread for password hashes does not start, so they run in this thread.
    if (!/\/(worker|mortal)\.mjs$/.test(url.pathname)) die(new Error('no such file'))
    else if (url.pathname.endsWith('/mortal.mjs') && isDeadly(request)) die(new Error('dead'))
    else void work.take(request)
  })
  return {
    post: (message, moved) => outer.postMessage(message, moved),
    listen: (onMessage) => void outer.on('message', onMessage),
    onDeath: (report) => void (die = report),
    hold: () => undefined,
    terminate() {
      outer.close()
      return Promise.resolve()
    },
  }
}
