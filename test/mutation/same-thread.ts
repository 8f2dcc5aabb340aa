// Stands for src/pool/threads.ts while mutants run: the workers of a pool work in the one thread that a mutant is switched on in.
import { MessageChannel } from 'node:worker_threads'
import type { Request } from '../../src/pool/messages.ts'
import type { Thread } from '../../src/pool/threads.ts'
import { Work } from '../../src/pool/work.ts'

export { processorCount } from '../../src/pool/threads.ts'

export function startThread(): Thread {
  const { port1: outer, port2: inner } = new MessageChannel()
  const work = new Work((reply, moved) => inner.postMessage(reply, moved))
  inner.on('message', (request: Request) => void work.take(request))
  return {
    post: (message, moved) => outer.postMessage(message, moved),
    listen: (onMessage) => void outer.on('message', onMessage),
    onDeath: () => undefined,
    hold: () => undefined,
    terminate() {
      outer.close()
      return Promise.resolve()
    },
  }
}
