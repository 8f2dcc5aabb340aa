// What the tests of stored blocks share: a keyset, its blocks, and the names and bytes that SPEC §6.2 gives them.
import { createHash } from 'node:crypto'
import { type Keyset, openWriter, type SealedBlock, type Share } from '../../src/index.ts'
import { type BlobStore, blocksIn, memoryBlobStore, type SharedBlocks } from '../../src/stores.ts'
import { all, hex, makeKeyset, sample, unhex } from '../fixtures.ts'

const keyset = await makeKeyset()
const created = keyset.createShare()
export const owner: Keyset = created.keyset
export const share: Share = created.share
export const content: Uint8Array = sample(5000)
export const block: SealedBlock = await owner.seal(content)
export const shared: SealedBlock = await openWriter(owner.export('host')).seal(content, { shares: [share.id] })

export const sha256 = (bytes: Uint8Array): string => hex(createHash('sha256').update(bytes).digest())
export const dataOf = ({ ciphertext }: SealedBlock): string => `data/${sha256(ciphertext)}`
export const headOf = ({ label }: SealedBlock): string => `head/${label}`
export const shareOf = ({ label }: SealedBlock): string => `share/${share.id}/${label}`

/** Returns the bytes of a head, as SPEC §6.2 defines them. */
export function headBytes({ envelope, ciphertext }: SealedBlock): Uint8Array {
  const length = ciphertext.length.toString(16).padStart(8, '0')
  return unhex(length + hex(envelope) + sha256(ciphertext))
}

export const namesIn = async (blobs: BlobStore, prefix = ''): Promise<string[]> =>
  (await all(blobs.list(prefix))).map(({ name }) => name)

/** Replaces a blob, whatever it is. */
export async function damage(blobs: BlobStore, name: string, bytes: Uint8Array): Promise<void> {
  await blobs.delete(name)
  await blobs.put(name, bytes)
}

export function make(): { blobs: BlobStore; blocks: SharedBlocks } {
  const blobs = memoryBlobStore()
  return { blobs, blocks: blocksIn(blobs) }
}

export async function filled(): Promise<ReturnType<typeof make>> {
  const made = make()
  await made.blocks.put(shared)
  return made
}

/** A store that does something before a call with this name. */
export function interrupted(
  blobs: BlobStore,
  method: 'get' | 'put' | 'replace',
  name: string,
  act: () => Promise<unknown>,
): BlobStore {
  let isDone = false
  const call = blobs[method] as (...args: unknown[]) => Promise<unknown>
  return {
    ...blobs,
    [method]: async (...args: unknown[]) => {
      if (args[0] === name && !isDone) {
        isDone = true
        await act()
      }
      return call(...args)
    },
  }
}

export const opened = async (blocks: Pick<SharedBlocks, 'get'>, by: Keyset = owner): Promise<Uint8Array> =>
  by.open((await blocks.get(block.label))!)
