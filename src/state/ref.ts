// Refs: the texts by which a log keeps where a content is (SPEC §18.5).
import { copyOf, equalBytes, fromBase64Url, toBase64Url } from '../core/bytes.ts'
import { authenticationFailed, KeystrataError } from '../core/errors.ts'
import { forgetLastMatch } from '../core/text.ts'
import { sha256 } from '../primitives/hash.ts'

/** The hashes of the block that the owner of a share meant, 32 bytes each. */
export interface Pins {
  readonly envelope: Uint8Array
  readonly ciphertext: Uint8Array
}

/** What a ref says. */
export interface Ref {
  /** 64 hex digits. */
  readonly label: string
  /** Only for a block of a share. */
  readonly pins: Pins | undefined
  /** For a file in a pack: what `openPackMember` takes. */
  readonly member: string | undefined
}

const HASH = '[\\w-]{43}'
const MEMBER = `[gk]\\.(?:0|[1-9]\\d{0,3})\\.${HASH}`

/** Writes a ref. The parts that it does not have are left out. */
export function encodeRef({ label, pins, member }: Ref): string {
  const hashes = pins === undefined ? [] : [toBase64Url(pins.envelope), toBase64Url(pins.ciphertext)]
  return [label, ...hashes, ...(member === undefined ? [] : [member])].join('.')
}

/**
 * Reads a ref.
 * @throws KeystrataError `malformed`
 * @throws TypeError if it is not a string
 */
export function parseRef(ref: string): Ref {
  if (typeof ref !== 'string') throw new TypeError('a ref must be a string')
  const found = new RegExp(`^([\\da-f]{64})(?:\\.(${HASH})\\.(${HASH}))?(?:\\.(${MEMBER}))?$`).exec(ref)
  // A member opens a file.
  forgetLastMatch()
  const [, label, envelope, ciphertext, member] = found ?? []
  const pins = envelope === undefined ? undefined : pinsOf(envelope, ciphertext ?? '')
  if (label === undefined || pins === 'malformed') {
    throw new KeystrataError('malformed', 'this is not a ref: pass what sealInto, packInto or shareFrom returned', {
      object: 'ref',
      characters: ref.length,
    })
  }
  return { label, pins, member }
}

function pinsOf(envelope: string, ciphertext: string): Pins | 'malformed' {
  const [first, second] = [fromBase64Url(envelope), fromBase64Url(ciphertext)]
  return first === undefined || second === undefined ? 'malformed' : { envelope: first, ciphertext: second }
}

/** Returns the pins of a block whose ciphertext has this hash. */
export const pinsFor = (envelope: Uint8Array, ciphertextHash: Uint8Array): Pins => ({
  envelope: sha256(envelope),
  ciphertext: copyOf(ciphertextHash),
})

/**
 * Compares a block with its pins.
 * @throws KeystrataError `authentication-failed` if it is another one
 */
export function assertPinned(pins: Pins, envelope: Uint8Array, ciphertextHash: Uint8Array): void {
  const found = pinsFor(envelope, ciphertextHash)
  const isSame = equalBytes(found.envelope, pins.envelope) && equalBytes(found.ciphertext, pins.ciphertext)
  if (!isSame) throw authenticationFailed()
}

/**
 * Returns the label of the block that a ref names, 64 hex digits. Use it to delete blocks that no log names any more:
 * many refs may name one block.
 * @throws KeystrataError `malformed` if it is not a ref
 * @throws TypeError if it is not a string
 * @example
 * ```ts
 * import { labelOf } from 'keystrata'
 * import type { Blocks } from 'keystrata/stores'
 *
 * async function deleteUnnamed(blocks: Blocks, refs: readonly string[]) {
 *   const named = new Set(refs.map(labelOf))
 *   for await (const { label } of blocks.heads()) if (!named.has(label)) await blocks.delete(label)
 * }
 * ```
 */
export const labelOf = (ref: string): string => parseRef(ref).label
