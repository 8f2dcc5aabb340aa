// Random inputs for every primitive, and what a backend returns for them. Every backend must return the same bytes, and
// refuse the same inputs.
import { hex, unhex, withRandomness } from '../fixtures.ts'
import { portableBackend } from '../platforms.ts'
import { type Backend, type Kem } from '../../src/primitives/backend.ts'

/** Random inputs that a seed repeats (xorshift32). */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = Math.imul(seed, 2_654_435_761) | 1
  }
  #next(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return this.#state >>> 0
  }
  below(limit: number): number {
    return this.#next() % limit
  }
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(length).map(() => this.#next() >>> 11)
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T
  }
  /** Flips one bit of the bytes in one of three calls, and returns them. */
  maybeDamaged(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    if (bytes.length > 0 && this.below(3) === 0) bytes[this.below(bytes.length)]! ^= 1 << this.below(8)
    return bytes
  }
}

/** Returns what a backend gives for one input, as text. A refusal is a result too. */
export type Case = (backend: Backend) => Promise<string>

const REFUSED = 'refused'
async function outcome(compute: () => unknown): Promise<string> {
  try {
    const result = await compute()
    if (result === undefined) return REFUSED
    return (Array.isArray(result) ? (result as Uint8Array[]) : [result as Uint8Array]).map(hex).join(' ')
  } catch {
    return REFUSED
  }
}

/** Sizes at and around the borders of blocks, chunks and calls; `size` draws one of them in one of 50 calls. */
const BORDERS = [16, 64, 8 * 1024, 128 * 1024].flatMap((size) => [size - 16, size - 1, size, size + 1])
function size(random: Random, borders: readonly number[] = BORDERS): number {
  return random.below(50) === 0 ? random.pick(borders) : random.below(100)
}

const keyOf = (random: Random) => random.bytes(random.pick([16, 24, 32]))

// Points of small order (RFC 7748 §6.1, https://cr.yp.to/ecdh.html#validate), and encodings of p and above.
const ODD_POINTS = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ...['ec', 'ed', 'ee', 'ef', 'ff'].flatMap((low) => [`${low}${'ff'.repeat(30)}7f`, `${low}${'ff'.repeat(31)}`]),
].map(unhex)

function kemCase(random: Random, kemOf: (backend: Backend) => Kem, privateBytes: number, odd: () => Uint8Array): Case {
  const [privateKey, randomness] = [random.bytes(privateBytes), random.bytes(32)]
  const which = random.below(4)
  const oddPoint = odd()
  return (backend) =>
    outcome(() => {
      const own = kemOf(backend).decapsulator(privateKey)
      if (which === 0) return own.decapsulate(oddPoint)
      if (which === 1) {
        const sender = kemOf(backend).encapsulator(oddPoint)
        // Native code does not accept randomness from outside, but it must refuse the same keys.
        sender.encapsulate()
        return [new Uint8Array(0)]
      }
      const fresh = kemOf(backend).encapsulator(own.publicKey).encapsulate()
      if (hex(own.decapsulate(fresh.ciphertext)) !== hex(fresh.shared)) return Uint8Array.of(0)
      const sent = withRandomness([randomness], () => kemOf(portableBackend).encapsulator(own.publicKey).encapsulate())
      return [own.publicKey, own.decapsulate(sent.ciphertext), sent.shared]
    })
}

/** For each primitive: a function that creates random cases, and its weight. Slow primitives have a low weight. */
export const CASES: Readonly<Record<string, { weight: number; make: (random: Random) => Case }>> = {
  hash: {
    weight: 300,
    make(random) {
      const hash = random.pick(['sha256', 'sha512'] as const)
      const parts = Array.from({ length: random.below(4) }, () => random.bytes(size(random)))
      return (backend) => outcome(() => backend.hash(hash, parts))
    },
  },
  hmac: {
    weight: 300,
    make(random) {
      const hash = random.pick(['sha256', 'sha512'] as const)
      const key = random.bytes(random.below(200))
      const parts = Array.from({ length: random.below(4) }, () => random.bytes(random.below(200)))
      return (backend) => outcome(() => backend.hmac(hash, key, parts))
    },
  },
  hkdf: {
    weight: 200,
    make(random) {
      const hash = random.pick(['sha256', 'sha512'] as const)
      const [ikm, salt, info] = [1, 0, 0].map((least) => random.bytes(least + random.below(150)))
      const length = 1 + random.below(200)
      return (backend) => outcome(() => backend.hkdf(hash, ikm!, salt!, info!, length))
    },
  },
  'content digest': {
    weight: 100,
    make(random) {
      const content = random.bytes(size(random))
      const digests = [
        {
          hash: random.pick(['sha256', 'sha512'] as const),
          ...(random.below(2) === 0 && { suffix: random.bytes(32) }),
        },
        { hash: 'sha3-256' as const },
      ]
      return (backend) =>
        outcome(async () => {
          const copy = new Uint8Array(content.length)
          const copied = await backend.copyAndDigest(content, copy, digests)
          return [copy, ...copied, ...(await backend.digestContent(content, digests))]
        })
    },
  },
  'AES-GCM': {
    weight: 300,
    make(random) {
      const [key, aad] = [keyOf(random), random.bytes(random.below(64))]
      const iv = random.bytes(random.below(10) === 0 ? random.below(40) : 12)
      const text = random.bytes(size(random))
      const seed = random.below(2 ** 31)
      return (backend) =>
        outcome(async () => {
          const sealed = backend.gcmSeal(key, iv, aad, text)
          const buffer = new Uint8Array(text.length + 16)
          buffer.set(text)
          await backend.gcmSealContent(key, iv, aad, buffer)
          const noise = new Random(seed)
          const received = noise.maybeDamaged(
            new Uint8Array(sealed.subarray(0, noise.pick([sealed.length, 0, 15, 16]))),
          )
          const opened = backend.gcmOpen(key, iv, aad, received) ?? new Uint8Array(0)
          const content = (await backend.gcmOpenContent(key, iv, aad, received)) ?? new Uint8Array(0)
          return [sealed, buffer, opened, content]
        })
    },
  },
  'AES-CTR': {
    weight: 100,
    make(random) {
      const [key, text] = [keyOf(random), random.bytes(size(random))]
      // Some counters overflow 32, 64 or 128 bits during the call.
      const counter = random.bytes(16).fill(0xff, random.pick([0, 8, 12, 16]))
      return (backend) =>
        outcome(async () => {
          const buffer = new Uint8Array(text)
          await backend.ctr(key, counter, buffer)
          return buffer
        })
    },
  },
  'AES-CBC': {
    weight: 100,
    make(random) {
      const [key, iv, text] = [keyOf(random), random.bytes(16), random.bytes(size(random))]
      const noise = random.bytes(random.pick([0, 15, 16, 17, 32, 48]))
      return (backend) =>
        outcome(async () => {
          const sealed = await backend.cbcEncrypt(key, iv, text)
          const opened = (await backend.cbcDecrypt(key, iv, sealed)) ?? new Uint8Array(1)
          return [sealed, opened, (await backend.cbcDecrypt(key, iv, noise)) ?? new Uint8Array(2)]
        })
    },
  },
  'ChaCha20-Poly1305 tag': {
    weight: 100,
    make(random) {
      const key = random.bytes(32)
      const parts = Array.from({ length: random.below(5) }, () => random.bytes(size(random)))
      return (backend) => outcome(() => backend.chachaPolyTag(key, parts))
    },
  },
  PBKDF2: {
    weight: 20,
    make(random) {
      const [password, salt] = [random.bytes(1 + random.below(200)), random.bytes(random.below(50))]
      const [iterations, length] = [1 + random.below(20), 1 + random.below(100)]
      return (backend) => outcome(() => backend.pbkdf2Sha512(password, salt, iterations, length, {}))
    },
  },
  Argon2id: {
    weight: 5,
    make(random) {
      const [password, salt] = [random.bytes(random.below(100)), random.bytes(8 + random.below(40))]
      const lanes = 1 + random.below(4)
      const costs = { iterations: 1 + random.below(3), lanes, memoryKiB: 8 * lanes + random.below(64) }
      return (backend) => outcome(() => backend.argon2id(password, salt, costs, 32, {}))
    },
  },
  X25519: {
    weight: 10,
    make: (random) =>
      kemCase(
        random,
        (backend) => backend.x25519,
        32,
        () => (random.below(2) === 0 ? random.pick(ODD_POINTS) : random.bytes(random.pick([31, 32, 33]))),
      ),
  },
  'ML-KEM-1024': {
    weight: 5,
    make(random) {
      const odd = () => {
        const { publicKey } = portableBackend.mlKem1024.decapsulator(random.bytes(64))
        // A wrong length, a coefficient that may be out of range, or just another public key.
        if (random.below(3) === 0) return random.bytes(random.pick([0, 32, 1567, 1569]))
        if (random.below(2) === 0) publicKey.set([0xff, random.below(256)], 3 * random.below(500))
        return publicKey
      }
      return kemCase(random, (backend) => backend.mlKem1024, 64, odd)
    },
  },
}
