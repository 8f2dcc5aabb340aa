// The second reader, continued: sharing (SPEC §11). Like spec-reader.ts, it was written from SPEC.md alone, and the
// notes there apply.
import { authentic, cat, check, D, equal, Fields, hash, LP, same } from './spec-reader.ts'
import { type OpenedKeyset, openUnlabelled, type Pair, readHeader, readOptionalPrivate } from './spec-reader.ts'
import { readPublic, recomputePair, recomputeSigning } from './spec-reader.ts'
import type { SignedKeys } from './spec-reader-record.ts'
import { fingerprintOf, isSigned, openSeal, readCard } from './spec-reader-vault.ts'

export interface OpenedShare {
  id: Buffer
  pair: Pair // with the minimum of the share
  issuedAt: number
  sourceSigning: Buffer // the source signing key in the sharer's card
  cardSigning: Buffer // the card signing key there
}

const PUBLIC = 1601 // §9.3
const PRIVATE = 96
const SEALED = 1696 // §4.3: a SEAL without P

/** §11.3: the 60 digits of a fingerprint */
export const digits = (fingerprint: string): Buffer => Buffer.from(fingerprint.replaceAll(' ', ''), 'ascii')

/** §11.3 P: the share's pair set. In a direct share, its private half is that of the recipient's sharing pair. */
function readSharePair(P: Buffer, sharing: Pair): Pair {
  const fields = new Fields(P)
  const half = readPublic(fields)
  const pair = { ...half, skX: sharing.skX, seedM: sharing.seedM, ...readOptionalPrivate(fields) }
  fields.end()
  check(pair.minimum >= 1, 'authentication-failed')
  recomputePair(pair)
  return pair
}

/**
 * §11.3 Opens an invite, and reports errors in the order given there. The card comes first (§5); the caller has
 * compared its fingerprint.
 */
export function openInvite(bytes: Uint8Array, sharerCard: Uint8Array, keyset: OpenedKeyset): OpenedShare {
  const sharer = readCard(sharerCard)
  const { sharing, cardSigning, sourceSigning } = keyset
  check(sharing !== undefined && cardSigning !== undefined && 'seed' in cardSigning, 'policy') // a definition has no card
  const all = Buffer.from(bytes)
  const { ownerId: id } = readHeader(new Fields(all), 6, [0x0402])
  const size = all.length - SEALED - 8 - 64 - 64
  check(size === PUBLIC + 1 || size === PUBLIC + 1 + PRIVATE, 'malformed')
  const fields = new Fields(all)
  const [sealed, issuedAt] = [fields.take(SEALED + size), fields.take(8)]
  const [bySource, byCard] = [fields.take(64), fields.take(64)]
  check(issuedAt.readBigUInt64BE() <= 8_640_000_000_000_000n, 'malformed')
  const signed = cat(LP(digits(sharer.fingerprint)), sealed, issuedAt)
  const signatures =
    isSigned(sharer.sourceSigning, cat(D('sign/invite-source'), signed), bySource) &&
    isSigned(sharer.cardSigning, cat(D('sign/invite-card'), signed), byCard)
  check(signatures, 'authentication-failed')

  recomputePair(sharing) // §9.3: before their first use
  recomputeSigning(cardSigning)
  const own = fingerprintOf(sharing, cardSigning.publicKey, sourceSigning.publicKey)
  const context = cat(LP(id), LP(digits(sharer.fingerprint)), LP(digits(own)), issuedAt)
  const P = openSeal(sealed, 6, sharing, id, context)
  const pair = authentic(() => readSharePair(P, sharing))
  const { sourceSigning: bySharer, cardSigning: ofSharer } = sharer
  return { id, pair, issuedAt: Number(issuedAt.readBigUInt64BE()), sourceSigning: bySharer, cardSigning: ofSharer }
}

/** §11.2 Opens a block of a share, as in §10.4, but step 6 only checks K_b in mode 2; bytes = envelope ‖ ciphertext */
export function openSharedBlock(bytes: Uint8Array, label: string, share: OpenedShare): Buffer {
  const { mode, P, blockKey } = openUnlabelled(bytes, label, {
    id: share.id,
    pairs: [share.pair],
    sharer: share.sourceSigning,
  })
  if (mode === 2) same(hash('sha3-256', P), blockKey)
  return P
}

/** §11.2 What reads the log of a share (§7). It has adopted nothing. */
export function shareKeys({ id, pair, sourceSigning, cardSigning }: OpenedShare): SignedKeys {
  return { pairs: [pair], signersOf: (ownerId) => (equal(ownerId, id) ? { sourceSigning, cardSigning } : undefined) }
}
