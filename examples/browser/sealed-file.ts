// What this page does with the library: a file and a password become a sealed file, and again the file.
import {
  type Argon2Costs,
  createKeyset,
  encodeBlock,
  KeystrataError,
  openWriter,
  parseBlock,
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

/** What a guess at the password costs, and the most that opening may: a file that came from elsewhere could ask for more. */
const COSTS: Argon2Costs = { iterations: 3, memoryKiB: 65_536, lanes: 4 }
/** One chunk is in memory at a time. Small ones keep the page alive, as each is sealed in a few turns of its event loop. */
const CHUNK_BYTES = 2 * 1024 * 1024

export type Step = 'password' | 'content'

export interface Options {
  /** Told which step is under way, and how much of it is done, from 0 to 1. */
  onProgress?: (step: Step, fraction: number) => void
  /** Ends it with `aborted`. */
  signal?: AbortSignal
  costs?: Argon2Costs
  chunkBytes?: number
}

/** Seals a file under a password, with keys that nothing else has. */
export async function sealFile(file: File, password: string, options: Options = {}): Promise<Blob> {
  const { costs = COSTS, chunkBytes = CHUNK_BYTES } = options
  // Without dedup nobody can see whether chunks are equal.
  const keyset = await createKeyset(password, { ...passwordOptions(options), costs, dedup: 'off' })
  const writer = openWriter(keyset.export('host'))
  try {
    const listed: ListedBlock[] = []
    const blocks: Blob[] = []
    for (let at = 0; at < file.size; at += chunkBytes) {
      const block = await writer.seal(await read(file.slice(at, at + chunkBytes)))
      const stored = new Blob([encodeBlock(block)]) // the browser keeps it, on the disk if it is large
      listed.push({ label: block.label, bytes: stored.size })
      blocks.push(stored)
      report(options, Math.min(at + chunkBytes, file.size) / file.size)
    }
    // The order of the chunks, and where they end, is what this record says.
    const listing = encodeListing({ name: file.name, size: file.size, blocks: listed })
    const { record } = await writer.sealRecord(listing, 'start')
    return joinParts(keyset.export('storage'), record, blocks)
  } finally {
    writer.dispose()
    keyset.dispose()
  }
}

export interface OpenedFile {
  /** A plain name, whatever was sealed. */
  name: string
  content: Blob
}

/**
 * Opens a sealed file. Nothing of it is given before all of it was checked.
 * @throws KeystrataError `wrong-password`; `malformed` for damage; `authentication-failed` for what was altered; `key-not-found`
 *   for what is from another sealed file
 */
export async function openFile(sealed: Blob, password: string, options: Options = {}): Promise<OpenedFile> {
  const parts = await splitParts(sealed)
  const keyset = await unlockKeyset(parts.keyset, password, { ...passwordOptions(options), costs: COSTS })
  try {
    const { content } = await keyset.openRecord(parts.listing, { after: 'start' })
    const listing = parseListing(content, parts.blocks)
    const chunks: Blob[] = []
    let at = 0
    for (const { label, bytes } of listing.blocks) {
      const stored = await read(parts.blocks.slice(at, at + bytes))
      chunks.push(new Blob([await keyset.open(parseBlock(stored, label))]))
      at += bytes
      report(options, at / parts.blocks.size)
    }
    // No type: a page that somebody sealed must not run here.
    const whole = new Blob(chunks)
    if (whole.size !== listing.size) throw malformed('not of the size that was sealed')
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

/** Between two chunks: here it is told, and ended. */
function report({ signal, onProgress }: Options, fraction: number): void {
  if (signal?.aborted === true) throw new KeystrataError('aborted')
  onProgress?.('content', fraction)
}
