// Makes recovery slots for the vectors: good ones, and ones with a fault under right signatures and MACs.
import { type Bytes, concat, domain, u16 } from '../../src/core/bytes.ts'
import { cardHolderOf } from '../../src/core/card.ts'
import { codeCheck } from '../../src/core/code.ts'
import { encode } from '../../src/core/codec.ts'
import type { SigningPair } from '../../src/core/key-pairs.ts'
import { type RecoveryHolder, recoveryHolderOf } from '../../src/core/recovery-holder.ts'
import { type SecretKey, withBytes } from '../../src/core/secret.ts'
import { macUnder } from '../../src/core/trailer.ts'
import { insidesOf, type Keyset } from '../../src/keyset/keyset.ts'
import { sign } from '../../src/primitives/signature.ts'
import { deriveRecoveryKey } from '../../src/recovery.ts'
import { type SlotFacts, slotFacts, type SlotTarget, type StoredSlot } from '../../src/recovery/layout.ts'
import { encodeSlots, ownershipMessage, sealSlot, slotId, type SlotsOwner } from '../../src/recovery/stored-slots.ts'
import { hex, patched, resummed } from '../fixtures.ts'
import type { ListedSlot } from './vectors.ts'

/** A code whose first 26 characters are these. */
export const codeOf = (first: string, label = 'recovery-code'): string => first + codeCheck(label, first, 4)

/** A recovery key by its secret, which is a code or the byte that is repeated. */
export async function holderOf(secret: string | number): Promise<RecoveryHolder> {
  const from = typeof secret === 'string' ? { code: secret } : { secret: new Uint8Array(32).fill(secret) }
  return recoveryHolderOf(await deriveRecoveryKey(from), 'key')
}

/** Who signs and authenticates the slots of a keyset. */
export function slotsOwnerOf(keyset: Keyset): SlotsOwner {
  const holder = cardHolderOf(keyset, 'keyset', 'slots')
  const { contents, master } = insidesOf(keyset, 'keyset')
  return { id: contents.id, card: holder.keys, adopted: [], master, sign: (message) => holder.sign(message) }
}

/** A slot to a recovery key, which accepts the keyset of `owner` unless it is told. */
export function keyTarget(
  kind: 'code' | 'secret',
  { keys, sign: signs }: RecoveryHolder,
  { card }: SlotsOwner,
  message: Uint8Array = ownershipMessage(card),
): SlotTarget {
  return { kind, value: { keys, signature: signs(message) } }
}
export function splitTarget(holder: RecoveryHolder, owner: SlotsOwner, needed: number, parts: number): SlotTarget {
  const { value } = keyTarget('code', holder, owner) as Extract<SlotTarget, { kind: 'code' }>
  return { kind: 'split', value: { needed, parts, ...value } }
}

export const CREATED: number = Date.UTC(2026, 10, 30)

/** What stands in front of the SEAL of a slot. */
export const factsOf = (to: SlotTarget, label: Uint8Array | string = 'Sheet in the safe'): SlotFacts => ({
  created: CREATED,
  label: typeof label === 'string' ? new TextEncoder().encode(label) : label,
  to,
})

/** What a list shows of a slot of this keyset. `label` is what is shown of one that is not in the form of labels. */
export function listed(keysetId: Uint8Array, facts: SlotFacts, label?: string): ListedSlot {
  const { to, created } = facts
  return {
    ...{
      id: hex(slotId(keysetId, facts)),
      kind: to.kind,
      label: label ?? Buffer.from(facts.label).toString('utf8'),
      created,
    },
    ...(to.kind === 'split' && { needed: to.value.needed, parts: to.value.parts }),
  }
}

/** The object `slots` with these facts, each with M sealed to it. */
export const slotsWith = (owner: SlotsOwner, ...facts: readonly SlotFacts[]): Bytes =>
  encodeSlots(
    owner,
    facts.map((one) => sealSlot(owner, one)),
  )

/** Recomputes the MAC and the checksum, as someone who has the master key could. */
export const slotsRemacked = (bytes: Uint8Array, master: SecretKey<'master'>): Bytes =>
  resummed(
    patched(bytes, bytes.length - 72, macUnder(master, 'slots-mac', [bytes.slice(32, 48)], bytes.subarray(0, -72))),
  )

/** Recomputes the signature too. */
export function slotsResigned(
  bytes: Uint8Array,
  { master, sign: signs }: Pick<SlotsOwner, 'master' | 'sign'>,
  label = 'sign/slots',
): Bytes {
  const signature = signs(concat(domain(label), bytes.subarray(0, -136)))
  return slotsRemacked(patched(bytes, bytes.length - 136, signature), master)
}

/** The object around slots that are given as bytes: FACTS ‖ SEAL. The count is theirs unless it is told. */
export function slotsAround(
  whole: Uint8Array,
  owner: SlotsOwner,
  parts: readonly Uint8Array[],
  stated?: number,
): Bytes {
  return slotsResigned(concat(whole.subarray(0, 48), u16(stated ?? parts.length), ...parts, whole.slice(-136)), owner)
}

export const slotBytes = ({ facts, sealed }: StoredSlot): Bytes => concat(encode(slotFacts, facts), sealed)

export const signedBy =
  ({ seed }: SigningPair): SlotsOwner['sign'] =>
  (message) =>
    sign(seed, message)

export const masterText = (master: SecretKey<'master'>): string => withBytes(master, hex)
