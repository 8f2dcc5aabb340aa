// What the keyset protects on this page: a note. It is sealed as a record, and stored beside the keyset.
import type { Keyset, RecordPlace } from 'keystrata'
import type { StateStore } from 'keystrata/stores'
import { changeOwn, readOwn } from './own-object.ts'

const NOTE = 'page/note'
const PLACE: RecordPlace = { log: 'note', after: 'start' }

export async function readNote(store: StateStore, keyset: Keyset): Promise<string> {
  const sealed = await readOwn(store, NOTE)
  if (sealed === undefined) return ''
  const { content } = await keyset.openRecord(sealed, PLACE)
  return new TextDecoder().decode(content)
}

export async function saveNote(store: StateStore, keyset: Keyset, text: string): Promise<void> {
  const { record } = await keyset.sealRecord(new TextEncoder().encode(text), PLACE)
  await changeOwn(store, NOTE, () => record)
}
