// The file that workers run, with node:worker_threads or as a module worker of a browser.
import type { Reply, Request } from './messages.ts'
import { platformPort } from '../core/threads.ts'
import { Work } from './work.ts'

const port = platformPort()

const work = new Work((reply, moved) => port.post(reply, moved))

port.listen((request) => void work.take(request as Request))
port.post({ ready: true } satisfies Reply, [])
