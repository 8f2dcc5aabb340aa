// A process that does one task after the other: `worker.mjs CONFIG NAME SEED KIND`. KIND is `worker`, or `auditor` for one
// to whom nothing gets lost.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkBlocks, type BlobStore } from 'keystrata/stores'
import { openSavedKeyset } from 'keystrata'
import { openDeviceKey } from 'keystrata/device'
import { Clients } from './clients.ts'
import { measured } from './figures.ts'
import { Journal, now } from './journal.ts'
import { Keysets } from './keysets.ts'
import { outcomeOf } from './outcome.ts'
import { Places } from './places.ts'
import type { FromWorker, RunConfig, Task, ToWorker } from './tasks.ts'
import { Users } from './users.ts'

const [configFile = '', name = '', seed = '', kind = ''] = process.argv.slice(2)
const config = JSON.parse(readFileSync(configFile, 'utf8')) as RunConfig
const places = new Places(config, Number(seed), { connections: 3, isSound: kind === 'auditor' })
const journal = new Journal(join(config.folder, `${name}.journal`), name)
const device = await openDeviceKey(Buffer.from(config.device, 'hex'))
const adminKeyset = openSavedKeyset(Buffer.from(config.admin.saved, 'hex'), device, { id: config.admin.id })
const say = (message: FromWorker) => process.send!(message)

let drained: (() => void) | undefined
const users = new Users(places, journal, { keyset: adminKeyset, card: adminKeyset.card(), device })
const clients = new Clients(places, journal, device)
const keysets = new Keysets(
  places,
  journal,
  device,
  (task) =>
    new Promise((resolve) => {
      drained = resolve
      say({ say: 'drain', task: task.id })
    }),
)

/** Checks all ciphertexts that the heads of a user, an account or a keyset name. It needs no key. */
async function checkAll(task: Task): Promise<void> {
  const blobs: BlobStore = places.blobs(task.target!)
  for await (const { label, problem } of checkBlocks(blobs, { readData: true }))
    journal.write({ kind: 'wrong', task: task.id, what: `a ciphertext of ${task.target!} is ${problem}: ${label}` })
}

let [isIdle, measuresNext] = [true, false]

function measure(): void {
  measuresNext = false
  say({ say: 'figures', figures: measured(places.pool.totalCount) })
}

async function run(task: Task): Promise<void> {
  const began = now()
  isIdle = false
  let outcome = 'ok'
  try {
    if (task.op === 'blocks.check') await checkAll(task)
    else if (task.user !== undefined) await users.run(task)
    else if (task.client !== undefined) await clients.run(task)
    else await keysets.run(task)
  } catch (error) {
    const found = outcomeOf(error)
    outcome = `${found.kind} ${found.kind === 'refused' ? found.code : found.error}`
    if (found.kind === 'refused') {
      const { message } = error as Error
      outcome += ` (${message.slice(0, 200)})`
    }
    journal.fail(found.kind === 'wrong' ? { kind: 'lost', error: found.error } : found)
  }
  for (const [what, count] of places.faults.taken()) say({ say: 'fault', what, count })
  isIdle = true
  if (measuresNext) measure()
  say({ say: 'done', task: task.id, outcome, ms: now() - began })
}

process.on('message', (message: ToWorker) => {
  switch (message.say) {
    case 'task':
      void run(message.task)
      break
    case 'drained':
      drained?.()
      break
    case 'measure':
      // Not in the middle of a password hash, which takes 64 MiB.
      if (isIdle) measure()
      else measuresNext = true
      break
    case 'end':
      process.exit()
  }
})
// The parent has ended.
process.on('disconnect', () => process.exit())
say({ say: 'ready' })
