// Who can reset a profile's password (SPEC §9): an admin, or nobody.
import type { Bytes } from '../bytes.ts'
import { type Card, cardFrom, parseCard } from '../keys/card.ts'

/**
 * Who may set a new password: the admin with this card, whose keyset can then read everything; or nobody.
 * @example
 * ```ts
 * import { parseCard, type Recovery } from 'keystrata'
 *
 * function byAdmin(card: Uint8Array, comparedFingerprint: string): Recovery {
 *   return { admin: parseCard(card, { expect: comparedFingerprint }) }
 * }
 * ```
 */
export type Recovery = { admin: Card } | { zeroTrust: true }

/** The admin's card, or undefined for zero trust. @throws TypeError for what is neither, or both */
export function parseRecovery(recovery: Recovery | undefined): Bytes | undefined {
  const { admin, zeroTrust } = (recovery ?? {}) as { admin?: Card; zeroTrust?: unknown }
  if (zeroTrust === true && admin === undefined) return undefined
  if (zeroTrust !== undefined || admin === undefined) {
    throw new TypeError('recovery is { admin: card } or { zeroTrust: true }')
  }
  // The fingerprint that stands beside the bytes is the one that somebody compared.
  const { bytes, fingerprint } = cardFrom(admin)
  return parseCard(bytes, { expect: fingerprint }).bytes
}
