// Whether the export on a host is that of the stored keyset (SPEC §9.5).
import { equalBytes, toHex } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { CheckedStore } from '../state/checked.ts'
import { KEYSET_NAME } from '../state/name.ts'
import { readSettled } from '../state/settle.ts'
import type { StateStore } from '../state/store.ts'
import { assertDescends, parseRevision, type Revision, revisionOf, revisionText } from './revision.ts'
import { parseStored } from './read-keyset.ts'
import type { KeysetWriter } from './writer.ts'

/**
 * Checks that the export which a host, or a delegation, works with is the one of the stored keyset. Call it before and
 * after each run. A host with an old export may seal to a key pair that is about to be forgotten. Every change of the
 * keyset counts, a new password too.
 *
 * If this throws after a run, the run may have stored blocks under such a pair. Replace the export, and rekey all blocks
 * before the pair is forgotten. If it is forgotten already, adopt a version of the keyset that still has it (a store keeps
 * the last ones), rekey, check, and forget again. A store whose reads are late may still return the old keyset here. So
 * between replacing the exports and {@link Keyset.forgetRetired}, let more time pass than a run takes, and than reads can
 * be late.
 * @param writer a writer or a delegation; only its id and revision are used
 * @throws KeystrataError `stale-export` if the stored keyset is newer than the export, or another one: replace the export
 * @throws KeystrataError `rollback` if the store still returns an older keyset after several reads
 * @throws KeystrataError `missing` if the store has no keyset
 * @throws KeystrataError `malformed` or `unsupported` if what is stored is not a keyset of this release
 * @throws TypeError if the store returns an invalid answer; the store's own errors
 * @example
 * ```ts
 * import { checkWriter, createKeyset, openWriter, saveKeyset } from 'keystrata'
 * import { memoryStateStore } from 'keystrata/stores'
 *
 * const store = memoryStateStore()
 * using keyset = await createKeyset('correct horse battery staple')
 * await saveKeyset(store, keyset)
 * using writer = openWriter(keyset.export('host'))
 * await checkWriter(store, writer) // before the backup, and again after it
 * ```
 */
export async function checkWriter(store: StateStore, writer: Pick<KeysetWriter, 'id' | 'revision'>): Promise<void> {
  const { id } = writer
  const revision = parseRevision(writer.revision, 'the revision of the writer or delegation')
  let isAnother = false
  let stored = ''
  try {
    await readSettled(new CheckedStore(store), KEYSET_NAME, true, (found) => {
      const { parsed } = parseStored(found)
      stored = revisionText(revisionOf(parsed))
      isAnother = toHex(parsed.header.ownerId) !== id
      assertDescends(parsed, revision)
      if (isAnother || !equalBytes(parsed.revision, revision.id)) throw staleExport(revision, stored)
    })
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    const { code } = error
    const isStale = code === 'stale-export' || code === 'forked' || (code === 'rollback' && isAnother)
    if (!isStale) throw error
    throw staleExport(revision, stored)
  }
}

const staleExport = (revision: Revision, stored: string): KeystrataError =>
  new KeystrataError(
    'stale-export',
    'this host export or delegation is out of date: replace the export, or ask the owner for a new delegation',
    {
      revision: revisionText(revision),
      stored,
    },
  )
