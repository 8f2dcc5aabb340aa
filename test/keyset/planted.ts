// A keyset with known secrets. Each is one byte repeated (32 or 64 times), so that a test can search for it.
import { Mode } from '../../src/keyset/mask.ts'
import { Strength } from '../../src/core/suite.ts'
import { keyPairOf, signingPairOf } from '../../src/core/key-pairs.ts'
import { type KeysetContents } from '../../src/keyset/exports.ts'
import type { CompleteSource } from '../../src/keyset/layout.ts'
import { SecretKey } from '../../src/core/secret.ts'

const run = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const pair = (x25519: number, mlKem1024: number, minimum: Strength = Strength.hybrid) =>
  keyPairOf(minimum, {
    x25519: new SecretKey('x25519', run(x25519)),
    mlKem1024: new SecretKey('ml-kem-1024', run(mlKem1024, 64)),
  })
const signing = (seed: number) => signingPairOf(new SecretKey('signing', run(seed)))

export const planted = {
  master: 0x41,
  blockX25519: 0x51,
  blockMlKem: 0x52,
  blockSalt: 0x53,
  dedupKey: 0x54,
  sourceSigning: 0x55,
  sharingX25519: 0x61,
  sharingMlKem: 0x62,
  cardSigning: 0x63,
  retiredX25519: 0x71,
  retiredMlKem: 0x72,
  shareX25519: 0x81,
  shareMlKem: 0x82,
  adoptedBlockSalt: 0xa1,
  adoptedDedupKey: 0xa2,
  adoptedSharingX25519: 0xa3,
  adoptedSharingMlKem: 0xa4,
  adoptedCardSigning: 0xa5,
} as const

export const plantedMaster: SecretKey<'master'> = new SecretKey<'master'>('master', run(planted.master))

/** The source of a keyset that was adopted. The seed of its source signing key, 0xaf, is in no export. */
const plantedSource = (): CompleteSource => ({
  id: run(0xed, 16),
  blockSalt: new SecretKey('block-salt', run(planted.adoptedBlockSalt)),
  dedupKey: new SecretKey('dedup', run(planted.adoptedDedupKey)),
  keys: {
    sourceSigning: signing(0xaf).publicKey,
    sharing: pair(planted.adoptedSharingX25519, planted.adoptedSharingMlKem),
    cardSigning: signing(planted.adoptedCardSigning),
  },
})

/** Returns the planted contents. They have retired key pairs and shares, so that no list is empty. */
export function plantedContents(): KeysetContents {
  const foreign = pair(0x91, 0x92)
  return {
    id: run(0xee, 16),
    version: 7,
    revision: run(0xc7, 16),
    history: [6, 5].map((version) => ({ version, id: run(0xc0 + version, 16) })),
    encryption: Strength.hybrid,
    dedup: Mode.scoped,
    argon2: { iterations: 2, memoryKiB: 19_456, lanes: 1, salt: run(0xd1), nonce: run(0xd2), verify: run(0xd3) },
    blockPair: pair(planted.blockX25519, planted.blockMlKem),
    blockSalt: new SecretKey('block-salt', run(planted.blockSalt)),
    dedupKey: new SecretKey('dedup', run(planted.dedupKey)),
    sourceSigning: signing(planted.sourceSigning),
    cardSigningKey: signing(planted.cardSigning).publicKey,
    adopted: [plantedSource()],
    additional: {
      sharing: pair(planted.sharingX25519, planted.sharingMlKem),
      cardSigning: signing(planted.cardSigning),
      retired: [pair(planted.retiredX25519, planted.retiredMlKem, Strength.x25519)],
      shares: [
        { id: run(0xe1, 16), ...pair(planted.shareX25519, planted.shareMlKem) },
        { id: run(0xe2, 16), publicHalves: foreign.publicHalves, privateHalves: undefined },
      ],
      revoked: [run(0xe3, 16)],
    },
  }
}
