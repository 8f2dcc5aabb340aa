// The layout of a sealed file, which says nothing of its content but its size:
//   first line ‖ length ‖ keyset ‖ length ‖ listing ‖ blocks, one behind the other
// A length is 4 bytes, big-endian. The listing is sealed; it names the blocks in order, and says how long each one is.
import { KeystrataError } from 'keystrata'

const FIRST_LINE = new TextEncoder().encode('keystrata sealed file 1\n')
const LENGTH_BYTES = 4
/** What the library takes at most: exports of 1 MiB, records and blocks of 64 MiB and what stands around their content. */
const MAX_KEYSET_BYTES = 1024 * 1024
const MAX_LISTING_BYTES = 64 * 1024 * 1024 + 4096
const MAX_BLOCK_BYTES = 64 * 1024 * 1024 + 4096

/** What a sealed file holds. It is sealed as a record: nobody without the password can write one that opens. */
export interface Listing {
  /** As the user's system gave it: see {@link plainName}. */
  name: string
  /** Of the whole content, in bytes. */
  size: number
  /** All blocks in order. */
  blocks: ListedBlock[]
}

export interface ListedBlock {
  label: string
  /** Of the stored block: envelope and ciphertext. */
  bytes: number
}

export interface Parts {
  keyset: Uint8Array
  listing: Uint8Array
  /** All blocks, one behind the other. */
  blocks: Blob
}

/** Whether a file says of itself that it is a sealed one. */
export async function isSealed(file: Blob): Promise<boolean> {
  const found = await read(file.slice(0, FIRST_LINE.length))
  return found.length === FIRST_LINE.length && found.every((byte, index) => byte === FIRST_LINE[index])
}

export function joinParts(keyset: Uint8Array<ArrayBuffer>, listing: Uint8Array<ArrayBuffer>, blocks: Blob[]): Blob {
  return new Blob([FIRST_LINE, encodeLength(keyset), keyset, encodeLength(listing), listing, ...blocks])
}

/** @throws KeystrataError `malformed` for what is no sealed file, and for one that was cut */
export async function splitParts(file: Blob): Promise<Parts> {
  if (!(await isSealed(file))) throw malformed('not a sealed file')
  const keyset = await readPart(file.slice(FIRST_LINE.length), MAX_KEYSET_BYTES)
  const listing = await readPart(keyset.rest, MAX_LISTING_BYTES)
  return { keyset: keyset.part, listing: listing.part, blocks: listing.rest }
}

/** Looks at the length before anything is read: a damaged one must not cost memory. */
async function readPart(from: Blob, most: number): Promise<{ part: Uint8Array; rest: Blob }> {
  const prefix = await read(from.slice(0, LENGTH_BYTES))
  if (prefix.length < LENGTH_BYTES) throw malformed('cut short')
  const end = LENGTH_BYTES + new DataView(prefix.buffer).getUint32(0)
  if (end > LENGTH_BYTES + most || end > from.size) throw malformed('cut short, or a damaged length')
  return { part: await read(from.slice(LENGTH_BYTES, end)), rest: from.slice(end) }
}

export const read = async (blob: Blob): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await blob.arrayBuffer())

function encodeLength({ length }: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(LENGTH_BYTES)
  new DataView(bytes.buffer).setUint32(0, length)
  return bytes
}

export const encodeListing = (listing: Listing): Uint8Array => new TextEncoder().encode(JSON.stringify(listing))

/**
 * Reads a listing that was opened, and holds it against the blocks that are there.
 * @throws KeystrataError `malformed`
 */
export function parseListing(content: Uint8Array, blocks: { readonly size: number }): Listing {
  const listing = parseJson(content)
  if (!isListing(listing)) throw malformed('its listing is none')
  const listed = listing.blocks.reduce((sum, { bytes }) => sum + bytes, 0)
  if (listed !== blocks.size) throw malformed(listed > blocks.size ? 'cut short' : 'something was added behind its end')
  return listing
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch {
    throw malformed('its listing is none')
  }
}

/** Who knows the password can write any listing, so its form is checked too. */
function isListing(value: unknown): value is Listing {
  if (typeof value !== 'object' || value === null) return false
  const { name, size, blocks } = value as Partial<Record<keyof Listing, unknown>>
  return typeof name === 'string' && isSize(size) && Array.isArray(blocks) && blocks.every(isListedBlock)
}

function isListedBlock(value: unknown): value is ListedBlock {
  if (typeof value !== 'object' || value === null) return false
  const { label, bytes } = value as Partial<Record<keyof ListedBlock, unknown>>
  return typeof label === 'string' && isSize(bytes) && bytes <= MAX_BLOCK_BYTES
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

export const malformed = (what: string): KeystrataError =>
  new KeystrataError('malformed', `no whole sealed file: ${what}`)

/**
 * A name to offer for saving: one step and no path, and nothing that makes it look like another one. The rest of a name, the
 * browser and the system clean.
 */
export function plainName(name: string): string {
  const plain = name
    .toWellFormed()
    // Of a path the last step; then what systems forbid, what cannot be seen, and what turns the direction of writing.
    .replace(/^.*[/\\]/s, '')
    .replaceAll(/[<>:"|?*\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '_')
    .replace(/[. ]+$/, '')
    .trimStart()
  const short = Array.from(plain).slice(-MAX_NAME_LENGTH).join('')
  return short === '' ? 'file' : short
}

/** From the end, where the ending is: no system takes more than 255 bytes. */
const MAX_NAME_LENGTH = 120
