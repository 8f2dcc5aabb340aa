// Adds to objects and a blob in a folder until it is killed, or its time is over: `folder-writer.ts FOLDER WRITER MS`.
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { acknowledge, complain, count, countsIn, withOneMore } from './adding.ts'

const [folder = '', writer = '', milliseconds = ''] = process.argv.slice(2)
const given = folderStateStore(folder)
const store = new CheckedStore(given)
const blobs = folderBlobStore(folder)
const end = Date.now() + Number(milliseconds)
let tags = 0
const newTag = () => `${process.pid}-${tags++}`

async function addToObject(name: string): Promise<void> {
  const newest = await store.read(name)
  const version = (newest?.version ?? 0) + 1
  const bytes = withOneMore(countsIn(newest?.bytes), writer, newTag())
  const outcome = await writeSettled(store, name, version, bytes)
  if (outcome === 'written') {
    acknowledge(name, writer)
    if (tags % 3 === 0) await store.drop(name, version - 1)
    if (tags % 7 === 0 && (await store.write(name, Math.max(1, version - 5), bytes)))
      complain(`a late write to ${name}`)
  } else if (outcome === 'unknown') {
    // It was dropped before this process looked. The object itself tells whether it had been written.
    const written = countsIn((await store.read(name))?.bytes)[writer]?.last === `${process.pid}-${tags - 1}`
    if (written) acknowledge(name, writer)
    count(`unknown ${name}`)
  }
}

async function addToBlob(name: string): Promise<void> {
  const found = await blobs.get(name)
  const next = withOneMore(countsIn(found), writer, newTag())
  const written = found === undefined ? await blobs.put(name, next) : await blobs.replace(name, found, next)
  if (written) acknowledge(name, writer)
}

/** Puts, replaces and deletes a blob. What was put is the writer's own until somebody deletes it. */
async function useAndDelete(name: string): Promise<void> {
  const bytes = new TextEncoder().encode(newTag())
  if (!(await blobs.put(name, bytes))) {
    if (tags % 2 === 0) await blobs.delete(name)
    return
  }
  count('put again')
}

while (Date.now() < end) {
  await addToObject('log/a')
  await addToObject('log/b')
  await addToBlob('head/a')
  await useAndDelete('head/b')
}
