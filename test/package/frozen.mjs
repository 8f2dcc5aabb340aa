// Chooses from test/vectors what the package must open on every runtime, and what it must find.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const vectorsIn = (name) => JSON.parse(readFileSync(join(import.meta.dirname, '../vectors', `${name}.json`), 'utf8'))

function vector(name, id) {
  const found = vectorsIn(name).find((each) => each.id === id)
  if (found?.expect !== 'ok') throw new Error(`${name}.json has no good vector ${id}`)
  return found
}

const versionsOf = (objects) => Object.fromEntries(objects.map((bytes, index) => [index + 1, bytes]))

export function frozen() {
  const keyset = vector('keyset', 'host')
  const blocks = ['hybrid-scoped', 'hybrid-scoped-empty', 'hybrid-global', 'hybrid-off'].map((id) =>
    vector('block', id),
  )
  const log = vector('log', 'epoch-0')
  const slots = vector('slots', 'code')
  return {
    given: {
      keyset: { password: keyset.password, export: keyset.export },
      blocks: blocks.map(({ label, block }) => ({ label, block })),
      log: { name: log.log, objects: log.objects },
      slots: { code: slots.by.code, objects: { slots: versionsOf(slots.slots), keyset: versionsOf(slots.keyset) } },
    },
    expected: {
      contents: blocks.map(({ content }) => content),
      records: log.records.map(({ position, content }) => `${position} ${content}`),
      revision: slots.revision,
    },
  }
}
