// Checks every primitive in use on this machine against a known answer. The answers are from the standards, or from
// another implementation if a standard has none.
import { allocate, type Bytes, concat, copyOf, EMPTY, equalBytes, filled, fromHex, toHex, utf8 } from '../core/bytes.ts'
import { SecretKey } from '../core/secret.ts'
import { gcm } from './aead.ts'
import type { Backend, Primitive, Primitives } from './backend.ts'
import { preferredBackend, providerOf } from './choice.ts'
import { cbc, ctr, poly1305 } from './cipher.ts'
import { contentHashes, hashes, hmac } from './hash.ts'
import { hkdf } from './kdf.ts'
import { mlKem1024, x25519 } from './kem.ts'
import { nodeCrypto } from './node-crypto.ts'
import { argon2, pbkdf2 } from './password-hash.ts'
import { randomBytes } from './random.ts'
import { isSignatureOf, sign, signingPublicKey } from './signature.ts'

/**
 * Checks every primitive in use against a known answer, and the randomness for gross failure. It takes a fraction of a
 * second. A product can run it at start, and refuse to work if the result is not `ok`.
 * @returns `ok`: whether every check passed; `backend`: what the platform offers; `fips`: whether OpenSSL runs in its
 *   FIPS mode; `checks`: each primitive, whose code computes it, and whether it gave the known answer
 * @example
 * ```ts
 * import { selfTest } from 'keystrata'
 *
 * const { ok, checks } = await selfTest()
 * const wrong = checks.filter((check) => !check.ok).map(({ primitive }) => primitive)
 * if (!ok) throw new Error(`this machine computes ${wrong.join(', ')} wrongly`)
 * ```
 */
export async function selfTest(): Promise<{
  ok: boolean
  backend: 'node' | 'web' | 'portable'
  fips: boolean
  checks: readonly { primitive: string; provider: string; ok: boolean }[]
}> {
  const tested = allPrimitives()
  const checks = []
  for (const [primitive, check] of Object.entries(CHECKS) as [Primitive, Check][]) {
    const ok = await holds(check, tested)
    checks.push({ primitive, provider: FIXED_PROVIDERS[primitive] ?? providerOf(primitive) ?? 'none', ok })
  }
  return { ok: checks.every((check) => check.ok), ...platform(), checks }
}

/** Returns every primitive, as this platform chooses it. */
function allPrimitives(): Primitives {
  const chosen = [hashes, contentHashes, hmac, hkdf, gcm, ctr, cbc, poly1305, x25519, mlKem1024, pbkdf2, argon2]
  return Object.assign({}, ...chosen.map((choose) => choose())) as Primitives
}

/** The primitives that the same code computes on every platform. */
const FIXED_PROVIDERS: Partial<Record<Primitive, string>> = {
  Ed25519: '@noble/curves',
  randomness: 'crypto.getRandomValues',
}

function platform(): { backend: Backend['name']; fips: boolean } {
  const preferred = preferredBackend()
  if (preferred !== undefined) return { backend: preferred.name, fips: preferred.fips }
  const node = nodeCrypto() as { getFips?: () => number } | undefined
  if (node !== undefined) return { backend: 'node', fips: node.getFips?.() === 1 }
  const hasSubtle = (globalThis as { crypto?: { subtle?: unknown } }).crypto?.subtle !== undefined
  return { backend: hasSubtle ? 'web' : 'portable', fips: false }
}

type Check = (on: Primitives) => Promise<boolean> | boolean

async function holds(check: Check, tested: Primitives): Promise<boolean> {
  try {
    return await check(tested)
  } catch {
    return false
  }
}

const unhex = (hex: string): Bytes => fromHex(hex, hex.length / 2) ?? EMPTY

const is = (found: Uint8Array | undefined, expected: string): boolean =>
  found !== undefined && toHex(found) === expected

const counting = (length: number, first = 0): Bytes => filled(length, (index) => first + index)

/** Returns a copy with one bit flipped. */
function damagedCopy(bytes: Uint8Array): Bytes {
  const copy = copyOf(bytes)
  copy[0] = (copy[0] ?? 0) ^ 1
  return copy
}

// SP 800-38A, appendix F, for AES-256: the key and the first two blocks.
const aesKey = /* @__PURE__ */ unhex('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4')

const aesText = /* @__PURE__ */ unhex('6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51')

// WebCrypto is called only for long content. So each of its primitives has a long answer too, from OpenSSL 3.0.19.
const zeros = (): Bytes => allocate(16 * 1024)

const hashesTo = (on: Primitives, bytes: Uint8Array | undefined, expected: string): boolean =>
  bytes !== undefined && is(on.hash('sha256', [bytes]), expected)

const CHECKS: Readonly<Record<Primitive, Check>> = {
  // FIPS 180-4, examples.
  async 'SHA-2'(on) {
    const [long] = await on.digestContent(zeros(), [{ hash: 'sha256' }])
    return (
      is(on.hash('sha256', [utf8('abc')]), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad') &&
      is(
        on.hash('sha512', [utf8('abc')]),
        'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
      ) &&
      is(long, '4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe')
    )
  },
  // FIPS 202, examples.
  async 'SHA-3'(on) {
    const [digest] = await on.digestContent(utf8('abc'), [{ hash: 'sha3-256' }])
    return is(digest, '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532')
  },
  // RFC 4231, test case 2.
  HMAC(on) {
    const [key, text] = [utf8('Jefe'), [utf8('what do ya want for nothing?')]]
    return (
      is(on.hmac('sha256', key, text), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843') &&
      is(
        on.hmac('sha512', key, text),
        '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
      )
    )
  },
  // OpenSSL 3.0.19, with the inputs of RFC 5869, test case 1: the RFC has no answer for SHA-512.
  HKDF: (on) =>
    is(
      on.hkdf('sha512', allocate(22).fill(0x0b), counting(13), counting(10, 0xf0), 42),
      '832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb',
    ),
  // Python's hashlib.pbkdf2_hmac.
  PBKDF2: async (on) =>
    is(
      await on.pbkdf2Sha512(utf8('password'), utf8('salt'), 2, 64, {}),
      'e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53cf76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e',
    ),
  // The reference implementation's test.c: t = 2, m = 256 KiB, p = 1.
  Argon2id: async (on) =>
    is(
      await on.argon2id(utf8('password'), utf8('somesalt'), { iterations: 2, memoryKiB: 256, lanes: 1 }, 32, {}),
      '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
    ),
  // McGrew and Viega, test case 16, with each pair of functions, and with a bit flipped.
  async 'AES-GCM'(on) {
    const key = unhex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308')
    const iv = unhex('cafebabefacedbaddecaf888')
    const aad = unhex('feedfacedeadbeeffeedfacedeadbeefabaddad2')
    const text = unhex(
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    )
    const sealed =
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b'
    const buffer = concat(text, allocate(16))
    await on.gcmSealContent(key, iv, aad, buffer)
    const opened = [on.gcmOpen(key, iv, aad, buffer), await on.gcmOpenContent(key, iv, aad, buffer)]
    const damaged = damagedCopy(buffer)
    const long = concat(zeros(), allocate(16))
    await on.gcmSealContent(aesKey, iv, aad.subarray(0, 8), long)
    const longOpened = await on.gcmOpenContent(aesKey, iv, aad.subarray(0, 8), long)
    const longDamaged = damagedCopy(long)
    return (
      hashesTo(on, long, 'e6435765b66f24359772077c0dc1e1cb4b463adb64c208642da1c0a03f7c6246') &&
      longOpened !== undefined &&
      equalBytes(longOpened, zeros()) &&
      (await on.gcmOpenContent(aesKey, iv, aad.subarray(0, 8), longDamaged)) === undefined &&
      is(on.gcmSeal(key, iv, aad, text), sealed) &&
      is(buffer, sealed) &&
      opened.every((content) => content !== undefined && equalBytes(content, text)) &&
      on.gcmOpen(key, iv, aad, damaged) === undefined
    )
  },
  // SP 800-38A, F.5.5.
  async 'AES-CTR'(on) {
    const buffer = copyOf(aesText)
    await on.ctr(aesKey, counting(16, 0xf0), buffer)
    const long = zeros()
    await on.ctr(aesKey, allocate(16).fill(0xff), long)
    return (
      is(buffer, '601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5') &&
      hashesTo(on, long, '3403510f7faf63cc5c8fce8de697e51f2416505688e3f6202059ecd82b85a762')
    )
  },
  // SP 800-38A, F.2.5. The standard has no padding, so only the first blocks are compared.
  async 'AES-CBC'(on) {
    const sealed = await on.cbcEncrypt(aesKey, counting(16), aesText)
    const opened = await on.cbcDecrypt(aesKey, counting(16), sealed)
    const long = await on.cbcEncrypt(aesKey, allocate(16), zeros())
    const longOpened = await on.cbcDecrypt(aesKey, allocate(16), long)
    return (
      is(sealed.subarray(0, 32), 'f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d') &&
      opened !== undefined &&
      equalBytes(opened, aesText) &&
      hashesTo(on, long, '079aecbba53b2db612509e80dda41c55aef4d03ce2a620656b3c4ed64b5995f2') &&
      longOpened !== undefined &&
      equalBytes(longOpened, zeros())
    )
  },
  // OpenSSL 3.0.19: ChaCha20-Poly1305 of an empty text.
  Poly1305: async (on) =>
    is(
      await on.chachaPolyTag(counting(32, 0x80), [utf8('Cryptographic Forum '), utf8('Research Group')]),
      'd89e3e3ccc1fbd8af9bea3c2e8cb3260',
    ),
  // RFC 7748 §6.1, and a round trip.
  X25519(on) {
    const alice = unhex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')
    const bobPublic = unhex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f')
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
    const own = on.x25519.decapsulator(alice)
    const sent = on.x25519.encapsulator(own.publicKey).encapsulate()
    return (
      is(own.publicKey, '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a') &&
      is(own.decapsulate(bobPublic), shared) &&
      equalBytes(own.decapsulate(sent.ciphertext), sent.shared)
    )
  },
  // OpenSSL 3.5.8: seed 00…3f, and the secret of implicit rejection for an invalid ciphertext. Then a round trip.
  'ML-KEM-1024'(on) {
    const own = on.mlKem1024.decapsulator(counting(64))
    const none = filled(1568, (index) => index * 7 + 3)
    const { ciphertext, shared } = on.mlKem1024.encapsulator(own.publicKey).encapsulate()
    return (
      is(on.hash('sha256', [own.publicKey]), 'c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530') &&
      is(own.decapsulate(none), '6037e70a4e52e1935f11e06cdcdbed2f52d1cf93f6dfe0923cb8025c8780beb7') &&
      equalBytes(own.decapsulate(ciphertext), shared)
    )
  },
  // RFC 8032 §7.1, test 1.
  Ed25519() {
    const seed = new SecretKey('signing', unhex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'))
    const publicKey = signingPublicKey(seed)
    const signature = sign(seed, allocate(0))
    return (
      is(publicKey, 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a') &&
      is(
        signature,
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
      ) &&
      isSignatureOf(publicKey, allocate(0), signature) &&
      !isSignatureOf(publicKey, utf8('another'), signature)
    )
  },
  randomness: () => isHealthy(randomBytes(4096)) && !equalBytes(randomBytes(32), randomBytes(32)),
}

/**
 * Runs the two health tests of SP 800-90B §4.4 for 8 bits of entropy per byte: no byte comes 6 times in a row, and the
 * first byte of each 512 comes less than 20 times among them. Good randomness fails them once in 2⁴⁰ bytes. They catch
 * a generator that is stuck, not one that is weak.
 */
export function isHealthy(random: Uint8Array): boolean {
  let run = 0
  let previous = -1
  for (const byte of random) {
    run = byte === previous ? run + 1 : 1
    previous = byte
    if (run >= 6) return false
  }
  for (let start = 0; start + 512 <= random.length; start += 512) {
    const window = random.subarray(start, start + 512)
    if (window.reduce((count, byte) => count + Number(byte === window[0]), 0) >= 20) return false
  }
  return true
}
