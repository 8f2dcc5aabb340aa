// Ed25519 signatures that no honest signer makes: over another encoding of the public key, or with a chosen R.
import { createHash } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'

type Point = InstanceType<typeof ed25519.Point>

/** A point of order 8. */
export const TORSION: Point = ed25519.Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')
export const HONEST_R: Point = ed25519.Point.BASE.multiply(7n)

/** Returns R ‖ S with R = r · B and S = r + H(R ‖ publicKey ‖ message) · a, where a is the scalar of `seed`. */
export function signatureFor(
  seed: Uint8Array,
  publicKey: Uint8Array,
  message: Uint8Array,
  R: Point = HONEST_R,
  r = 7n,
): Uint8Array<ArrayBuffer> {
  const order = ed25519.Point.Fn.ORDER
  const { scalar } = ed25519.utils.getExtendedPublicKey(seed)
  const hash = createHash('sha512').update(R.toBytes()).update(publicKey).update(message).digest('hex')
  const challenge = BigInt(`0x${Buffer.from(hash, 'hex').reverse().toString('hex')}`) % order
  const S = (r + challenge * scalar) % order
  const little = Buffer.from(S.toString(16).padStart(64, '0'), 'hex').reverse()
  return new Uint8Array([...R.toBytes(), ...little])
}
