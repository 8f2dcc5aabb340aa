// How this page uses the library: it seals a file with a password, and opens it again.
import {
  type Argon2Costs,
  createKeyset,
  encodeBlock,
  KeystrataError,
  openWriter,
  parseBlock,
  type RecordPlace,
  unlockKeyset,
} from 'keystrata'
import {
  encodeListing,
  joinParts,
  type ListedBlock,
  malformed,
  parseListing,
  plainName,
  read,
  splitParts,
} from './container.ts'

/** The Argon2id costs of sealing, and the limit for opening: a file from someone else could ask for much more. */
const COSTS: Argon2Costs = { iterations: 3, memoryKiB: 65_536, lanes: 4 }
/** The listing is the only record in a file. */
const PLACE: RecordPlace = { log: 'sealed file', after: 'start' }
/** The size of one chunk. Only one is in memory at a time. Small chunks keep the page responsive. */
const CHUNK_BYTES = 2 * 1024 * 1024

export type Step = 'password' | 'content'

export interface Options {
  /** Called with the current step, and how much of it is done, from 0 to 1. */
  onProgress?: (step: Step, fraction: number) => void
  /** Cancels the operation, which then throws `aborted`. */
  signal?: AbortSignal
  costs?: Argon2Costs
  chunkBytes?: number
}

/** Seals a file with a password, under fresh keys that no other file uses. */
export async function sealFile(file: File, password: string, options: Options = {}): Promise<Blob> {
  const { costs = COSTS, chunkBytes = CHUNK_BYTES } = options
  // Dedup is off, so that nobody can see whether two chunks are equal.
  const keyset = await createKeyset(password, { ...passwordOptions(options), costs, dedup: 'off' })
  const writer = openWriter(keyset.export('host'))
  try {
    const listed: ListedBlock[] = []
    const blocks: Blob[] = []
    for (let at = 0; at < file.size; at += chunkBytes) {
      const block = await writer.seal(await read(file.slice(at, at + chunkBytes)))
      const stored = new Blob([encodeBlock(block)]) // the browser keeps it, on disk if it is large
      listed.push({ label: block.label, bytes: stored.size })
      blocks.push(stored)
      report(options, Math.min(at + chunkBytes, file.size) / file.size)
    }
    // This record protects the order and the number of the chunks.
    const listing = encodeListing({ name: file.name, size: file.size, blocks: listed })
    const { record } = await writer.sealRecord(listing, PLACE)
    return joinParts(keyset.export('storage'), record, blocks)
  } finally {
    writer.dispose()
    keyset.dispose()
  }
}

export interface OpenedFile {
  /** A safe name for saving, even if an unsafe name was sealed. */
  name: string
  content: Blob
}

/**
 * Opens a sealed file. It returns content only after all of it was verified.
 * @throws KeystrataError `wrong-password`; `malformed` if the file is damaged; `authentication-failed` if it was
 *   altered; `key-not-found` if it contains parts of another sealed file
 */
export async function openFile(sealed: Blob, password: string, options: Options = {}): Promise<OpenedFile> {
  const parts = await splitParts(sealed)
  const keyset = await unlockKeyset(parts.keyset, password, { ...passwordOptions(options), costs: COSTS })
  try {
    const { content } = await keyset.openRecord(parts.listing, PLACE)
    const listing = parseListing(content, parts.blocks)
    const chunks: Blob[] = []
    let at = 0
    for (const { label, bytes } of listing.blocks) {
      const stored = await read(parts.blocks.slice(at, at + bytes))
      chunks.push(new Blob([await keyset.open(parseBlock(stored, label))]))
      at += bytes
      report(options, at / parts.blocks.size)
    }
    // The blob has no type, so that a sealed HTML page cannot run here.
    const whole = new Blob(chunks)
    if (whole.size !== listing.size) throw malformed('its content does not have the size that was sealed')
    return { name: plainName(listing.name), content: whole }
  } finally {
    keyset.dispose()
  }
}

function passwordOptions({ signal, onProgress }: Options) {
  return {
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress: (fraction: number) => onProgress('password', fraction) }),
  }
}

/** Runs between two chunks: reports progress, and throws `aborted` if the signal is set. */
function report({ signal, onProgress }: Options, fraction: number): void {
  if (signal?.aborted === true) throw new KeystrataError('aborted')
  onProgress?.('content', fraction)
}
