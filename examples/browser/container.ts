// The layout of a sealed file. Without the password it reveals only the size of its content:
//   first line ‖ length ‖ keyset ‖ length ‖ listing ‖ blocks, one after the other
// A length is 4 bytes, big-endian. The listing is sealed. It names the blocks in order, with the length of each.
import { KeystrataError } from 'keystrata'

const FIRST_LINE = new TextEncoder().encode('keystrata sealed file 1\n')
const LENGTH_BYTES = 4
/** The limits of the library: exports of 1 MiB; records and blocks with 64 MiB of content, and their overhead. */
const MAX_KEYSET_BYTES = 1024 * 1024
const MAX_LISTING_BYTES = 64 * 1024 * 1024 + 4096
const MAX_BLOCK_BYTES = 64 * 1024 * 1024 + 4096

/**
 * Describes the content of a sealed file. It is sealed as a record: nobody without the password can write a valid one.
 */
export interface Listing {
  /** The name of the file on the user's system. Use {@link plainName} before saving. */
  name: string
  /** The size of the whole content, in bytes. */
  size: number
  /** All blocks in order. */
  blocks: ListedBlock[]
}

export interface ListedBlock {
  label: string
  /** The size of the stored block, envelope and ciphertext, in bytes. */
  bytes: number
}

export interface Parts {
  keyset: Uint8Array
  listing: Uint8Array
  /** All blocks, one after the other. */
  blocks: Blob
}

/** Returns whether a file starts with the first line of a sealed file. */
export async function isSealed(file: Blob): Promise<boolean> {
  const found = await read(file.slice(0, FIRST_LINE.length))
  return found.length === FIRST_LINE.length && found.every((byte, index) => byte === FIRST_LINE[index])
}

export function joinParts(keyset: Uint8Array<ArrayBuffer>, listing: Uint8Array<ArrayBuffer>, blocks: Blob[]): Blob {
  return new Blob([FIRST_LINE, encodeLength(keyset), keyset, encodeLength(listing), listing, ...blocks])
}

/**
 * Splits a sealed file into its parts.
 * @throws KeystrataError `malformed` if it is not a sealed file or was cut short
 */
export async function splitParts(file: Blob): Promise<Parts> {
  if (!(await isSealed(file))) throw malformed('not a sealed file')
  const keyset = await readPart(file.slice(FIRST_LINE.length), MAX_KEYSET_BYTES)
  const listing = await readPart(keyset.rest, MAX_LISTING_BYTES)
  return { keyset: keyset.part, listing: listing.part, blocks: listing.rest }
}

/** Reads one part. It checks the length first, so that a damaged length cannot use up memory. */
async function readPart(from: Blob, most: number): Promise<{ part: Uint8Array; rest: Blob }> {
  const prefix = await read(from.slice(0, LENGTH_BYTES))
  if (prefix.length < LENGTH_BYTES) throw malformed('cut short')
  const end = LENGTH_BYTES + new DataView(prefix.buffer).getUint32(0)
  if (end > LENGTH_BYTES + most || end > from.size) throw malformed('cut short, or with a damaged length')
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
 * Parses an opened listing, and compares it with the size of the stored blocks.
 * @throws KeystrataError `malformed` if the listing is invalid or does not match the blocks
 */
export function parseListing(content: Uint8Array, blocks: { readonly size: number }): Listing {
  const listing = parseJson(content)
  if (!isListing(listing)) throw malformed('its listing is invalid')
  const listed = listing.blocks.reduce((sum, { bytes }) => sum + bytes, 0)
  if (listed !== blocks.size) throw malformed(listed > blocks.size ? 'cut short' : 'bytes were added after its end')
  return listing
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch {
    throw malformed('its listing is invalid')
  }
}

/** Checks the structure of a listing, because anyone who knows the password can write any listing. */
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
  new KeystrataError('malformed', `not a complete sealed file: ${what}`)

/**
 * Returns a safe name for saving: it is not a path, and has no characters that make it look like another name. The
 * browser and the operating system handle what remains.
 */
export function plainName(name: string): string {
  const plain = name
    .toWellFormed()
    // Keep the last part of a path. Then replace forbidden, invisible and text-direction characters.
    .replace(/^.*[/\\]/s, '')
    .replaceAll(/[<>:"|?*\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '_')
    .replace(/[. ]+$/, '')
    .trimStart()
  const short = Array.from(plain).slice(-MAX_NAME_LENGTH).join('')
  return short === '' ? 'file' : short
}

/**
 * In characters, because systems allow at most 255 bytes. A longer name loses its start, so that its extension stays.
 */
const MAX_NAME_LENGTH = 120
