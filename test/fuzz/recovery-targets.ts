// The readers of recovery slots, and of the texts that people type and paste when they recover.
import { cardHolderOf } from '../../src/core/card.ts'
import { concat, domain, utf8 } from '../../src/core/bytes.ts'
import { authenticatedPart, fillTrailer, macUnder } from '../../src/core/trailer.ts'
import { saveKeyset } from '../../src/index.ts'
import { insidesOf } from '../../src/keyset/keyset.ts'
import { SIGNATURE_BYTES } from '../../src/primitives/signature.ts'
import {
  addSlot,
  armor,
  dearmor,
  deriveRecoveryKey,
  generateRecoveryCode,
  listSlots,
  recoverKeyset,
  recoverySheet,
  renewSlots,
  splitRecoveryCode,
  testSlot,
} from '../../src/recovery.ts'
import { storedSlots } from '../../src/recovery/layout.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { makeKeyset, newestBytes, sample } from '../fixtures.ts'
import type { Target } from './inputs.ts'
import { showing, text } from './vault-targets.ts'

const keyset = await makeKeyset()
const friend = await makeKeyset()
const code = generateRecoveryCode()
const parts = await splitRecoveryCode(code, { parts: 3, needed: 2 })
const [byCode, byParts, bySecret] = await Promise.all([
  deriveRecoveryKey({ code }),
  deriveRecoveryKey({ parts: await splitRecoveryCode(generateRecoveryCode(), { parts: 3, needed: 2 }) }),
  deriveRecoveryKey({ secret: sample(32) }),
])
const store = memoryStateStore()
await saveKeyset(store, keyset)
await addSlot(store, keyset, byCode, { label: 'Sheet' })
const one = await newestBytes(store, 'slots')
await addSlot(store, keyset, byParts, { label: 'Family' })
await addSlot(store, keyset, friend.card(), { label: 'Friend' })
await addSlot(store, keyset, bySecret, { label: 'Passkey' })
const all = await newestBytes(store, 'slots')
const stored = await newestBytes(store, 'keyset')

const { contents, master } = insidesOf(keyset, 'keyset')
const holder = cardHolderOf(keyset, 'keyset', 'a test')

/** Signs altered slots as their owner, and corrects MAC and checksum. */
function mended(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes)
  const authenticated = authenticatedPart(whole)
  const signed = authenticated.subarray(0, -SIGNATURE_BYTES)
  authenticated.set(holder.sign(concat(domain('sign/slots'), signed)), signed.length)
  fillTrailer(whole, (part) => macUnder(master, 'slots-mac', [contents.id], part))
  return whole
}

export const recoveryTargets: readonly Target[] = [
  {
    name: 'slots',
    isImpatient: true,
    seeds: [one, all],
    layouts: [storedSlots as never],
    mend: mended,
    reads: [
      (bytes) => listSlots(showing({ keyset: [stored], slots: [bytes] })),
      (bytes) => testSlot(showing({ keyset: [stored], slots: [bytes] }), byCode),
      async (bytes) => {
        const objects = { keyset: [stored], slots: [one, bytes] }
        ;(await recoverKeyset(showing(objects), friend, { from: keyset.card() })).dispose()
      },
      (bytes) => renewSlots(showing({ keyset: [stored], slots: [bytes] }), keyset),
      (bytes) => addSlot(showing({ keyset: [stored], slots: [bytes] }), keyset, bySecret, { label: 'x' }),
    ],
  },
  {
    name: 'slots-keyset',
    seeds: [stored],
    reads: [(bytes) => testSlot(showing({ keyset: [bytes], slots: [all] }), byCode)],
  },
  {
    name: 'recovery-code',
    seeds: [utf8(code), utf8(parts[0]!)],
    reads: [
      async (bytes) => (await deriveRecoveryKey({ code: text(bytes) })).dispose(),
      async (bytes) => (await deriveRecoveryKey({ parts: [parts[1]!, text(bytes)] })).dispose(),
      (bytes) => recoverySheet({ code: text(bytes), title: 'x', text: 'x', facts: {} }),
    ],
  },
  {
    name: 'armor',
    // The text, its lines, and their bytes.
    copies: 5,
    seeds: [utf8(armor(friend.card().bytes)), utf8(armor(all))],
    reads: [(bytes) => dearmor(text(bytes))],
  },
  {
    name: 'armored',
    seeds: [friend.card().bytes, all, stored],
    reads: [(bytes) => armor(bytes)],
  },
]
