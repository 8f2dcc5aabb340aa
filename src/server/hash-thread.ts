// The file that the threads for password hashes run (hash-queue.ts).
import { wipe } from '../core/bytes.ts'
import { platformPort } from '../core/threads.ts'
import { compareHere, hashHere } from './bcrypt-here.ts'
import type { HashReply, HashTask } from './hash-queue.ts'

const port = platformPort()
const say = (reply: HashReply) => port.post(reply, [])

port.listen((task) => {
  compute(task as HashTask).then(
    (answer) => say({ answer }),
    (error: unknown) => say({ error }),
  )
})
say({ ready: true })

async function compute(task: HashTask): Promise<unknown> {
  switch (task.task) {
    case 'hash':
      return hashHere(task.password, task.cost)
    case 'compare':
      return compareHere(task.password, task.hash)
    case 'argon2': {
      // Loaded when it is needed: on newer releases of Node, Argon2 needs no thread.
      const { argon2 } = await import('../primitives/password-hash.ts')
      const { password, salt, costs, length } = task
      try {
        return await argon2().argon2id(password, salt, costs, length, {})
      } finally {
        wipe(password)
      }
    }
  }
}
