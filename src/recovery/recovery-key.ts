// Recovery keys (SPEC §20.1): key pairs that follow from a code, from parts of one, or from a secret that a device keeps.
// Codes have 130 random bits, so they need no slow hash. Not protected: a secret that can be guessed.
import { type Bytes, bytesFrom, utf8 } from '../core/bytes.ts'
import { generateCode } from '../core/code.ts'
import { Identity, type KeyPair, keyPairOf, type SigningPair, signingPairOf } from '../core/key-pairs.ts'
import { fieldsFrom } from '../core/options.ts'
import { type RecoveryHolder, type RecoveryKey, setRecoveryHolder } from '../core/recovery-holder.ts'
import { disposeKeys, SecretHolder, SecretKey } from '../core/secret.ts'
import { Strength } from '../core/suite.ts'
import { openSealedSecret } from '../core/wrap.ts'
import { KEM_BYTES } from '../primitives/kem.ts'
import { deriveKey } from '../primitives/kdf.ts'
import { sign } from '../primitives/signature.ts'
import { combineParts, parseRecoveryCode } from './split.ts'

/** How a recovery code was split. */
interface Split {
  readonly needed: number
  readonly parts: number
}

const SECRET_BYTES = 32

/**
 * Generates a recovery code: 26 random characters (130 bits) and 4 check characters, in six groups of five. Print it
 * ({@link recoverySheet}) or split it ({@link splitRecoveryCode}): the library does not keep it. Anyone with the code who can
 * read the store can open the keyset.
 * @example
 * ```ts
 * import { generateRecoveryCode } from 'keystrata/recovery'
 *
 * console.log(generateRecoveryCode().length) // 35
 * ```
 */
export const generateRecoveryCode = (): string => generateCode('recovery code')

/**
 * Derives the recovery key of a code, of parts of a code, or of a secret. The same secret always gives the same keys.
 * @param from `code`: a recovery code as somebody typed it; case, spaces, hyphens and quotes do not matter. `parts`: as many
 *   parts of one code as are needed, or more, in any order; all of them must fit together. `secret`: 32 random bytes that a
 *   device keeps, such as a passkey's PRF output, or a key from a TPM or the operating system's keystore
 * @throws KeystrataError `invalid-text` if the code or a part is mistyped (`detail.part` says which, from 1), if there are too
 *   few parts (`detail.reason` is `too-few`), if they come from different sets (`mixed`), or if one of them is wrong
 * @throws RangeError if `secret` is not 32 bytes, or all of them are zero
 * @throws TypeError if not exactly one of the three is given, or it has the wrong type
 * @example
 * ```ts
 * import { deriveRecoveryKey, generateRecoveryCode } from 'keystrata/recovery'
 *
 * using key = await deriveRecoveryKey({ code: generateRecoveryCode() })
 * console.log(key.kind) // code
 * ```
 */
export async function deriveRecoveryKey(
  from: { code: string } | { parts: readonly string[] } | { secret: Uint8Array },
): Promise<RecoveryKey> {
  const rules = { code: 'defined', parts: 'defined', secret: 'defined' } as const
  const hint = ': pass { code }, { parts } or { secret }'
  const given = fieldsFrom<{ code?: string; parts?: readonly string[]; secret?: Uint8Array }>(from, rules, 'from', hint)
  const { code, parts, secret } = given
  if (Object.keys(given).length !== 1) throw new TypeError(`from must have exactly one property${hint}`)
  if (secret !== undefined) return ofSecret(secret)
  if (code !== undefined) return ofCode(parseRecoveryCode(code))
  const combined = await combineParts(parts ?? [])
  return ofCode(combined.code, combined)
}

function ofCode(code: string, split?: Split): RecoveryKey {
  using secret = SecretKey.take('recovery', utf8(code))
  return new DerivedRecoveryKey(split === undefined ? 'code' : 'split', keysFrom(secret, 'code'), split)
}

function ofSecret(secret: Uint8Array): RecoveryKey {
  const bytes = bytesFrom(secret, 'secret', SECRET_BYTES)
  // No random generator returns this: the buffer was never filled.
  if (bytes.every((byte) => byte === 0))
    throw new RangeError('secret must be 32 random bytes, and all of these are zero')
  using key = new SecretKey('recovery', bytes)
  return new DerivedRecoveryKey('secret', keysFrom(key, 'secret'))
}

interface RecoveryKeyPairs {
  readonly sealing: KeyPair
  readonly signing: SigningPair
}

/** @param source what the secret is, so that a secret with the bytes of a code gives other keys */
function keysFrom(secret: SecretKey<'recovery'>, source: 'code' | 'secret'): RecoveryKeyPairs {
  const context = [utf8(source)]
  const x25519 = deriveKey('x25519', secret, 'recovery-x25519', context, KEM_BYTES.x25519.privateKey)
  const mlKem1024 = deriveKey('ml-kem-1024', secret, 'recovery-ml-kem-1024', context, KEM_BYTES.mlKem1024.privateKey)
  const seed = deriveKey('signing', secret, 'recovery-signing', context, 32)
  return { sealing: keyPairOf(Strength.hybrid, { x25519, mlKem1024 }), signing: signingPairOf(seed) }
}

class DerivedRecoveryKey extends SecretHolder implements RecoveryKey {
  readonly kind: RecoveryKey['kind']
  readonly #holder: RecoveryHolder
  readonly #split: Split | undefined

  /** Takes ownership of the keys. */
  constructor(kind: RecoveryKey['kind'], { sealing, signing }: RecoveryKeyPairs, split?: Split) {
    const identity = new Identity(sealing)
    super('recovery key', () => {
      identity.dispose()
      disposeKeys([sealing, signing])
    })
    this.kind = kind
    this.#split = split
    const { x25519, mlKem1024 } = sealing.publicHalves
    this.#holder = {
      keys: { x25519, mlKem1024, signing: signing.publicKey },
      openSealed: (stored, object, place) => openSealedSecret(identity, stored, object, place),
      sign: (message): Bytes => sign(signing.seed, message),
    }
    setRecoveryHolder(this, () => {
      this.assertUsable()
      return this.#holder
    })
  }

  static splitOf(key: RecoveryKey): Split | undefined {
    return key instanceof DerivedRecoveryKey ? key.#split : undefined
  }
}

/** Returns how the code of a recovery key was split, if the key was derived from parts. */
export const splitOf = (key: RecoveryKey): Split | undefined => DerivedRecoveryKey.splitOf(key)
