// Refs: the texts by which a log keeps where a content is (SPEC §6.5).
import { fromBase64Url, toBase64Url } from '../core/bytes.ts'
import { KeystrataError } from '../core/errors.ts'
import { forgetLastMatch } from '../core/text.ts'

/** What a ref says. */
export interface Ref {
  /** 64 hex digits. */
  readonly label: string
  /** For a block of a share: the SHA-256 of the ciphertext that the owner meant, 32 bytes. */
  readonly hash: Uint8Array | undefined
  /** For a file in a pack: what `openPackMember` takes. */
  readonly member: string | undefined
}

const HASH = '[\\w-]{43}'
const MEMBER = `[gk]\\.(?:0|[1-9]\\d{0,3})\\.${HASH}`

/** Writes a ref. The parts that it does not have are left out. */
export function encodeRef({ label, hash, member }: Ref): string {
  const parts = [label, hash === undefined ? undefined : toBase64Url(hash), member]
  return parts.filter((part) => part !== undefined).join('.')
}

/**
 * Reads a ref.
 * @throws KeystrataError `malformed`
 * @throws TypeError if it is not a string
 */
export function parseRef(ref: string): Ref {
  if (typeof ref !== 'string') throw new TypeError('a ref must be a string')
  const found = new RegExp(`^([\\da-f]{64})(?:\\.(${HASH}))?(?:\\.(${MEMBER}))?$`).exec(ref)
  // A member opens a file.
  forgetLastMatch()
  const [, label, text, member] = found ?? []
  const hash = text === undefined ? undefined : fromBase64Url(text)
  if (label === undefined || (text !== undefined && hash === undefined)) {
    throw new KeystrataError('malformed', 'this is not a ref: pass what sealInto, packInto or shareFrom returned', {
      object: 'ref',
      characters: ref.length,
    })
  }
  return { label, hash, member }
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
