// Vectors at a limit of SPEC §1.6, and one byte above. They are too large for the JSON files, so each is made from a frozen
// one when it is read.
import { createHash } from 'node:crypto'
import type { ReadVectors, VectorFile, VectorOf } from './second-reader.ts'

export interface Large<File extends VectorFile = VectorFile> {
  file: File
  id: string
  isSlow: boolean
  make: () => VectorOf[File]
}

const MIB = 1024 * 1024
const zeros = (count: number) => '00'.repeat(count)
/** Fills an object with zeros up to a length, and makes its checksum right. */
function filled(object: string, length: number): string {
  const body = Buffer.alloc(length - 8)
  Buffer.from(object, 'hex').copy(body)
  return Buffer.concat([body, createHash('sha256').update(body).digest().subarray(0, 8)]).toString('hex')
}

export function largeVectors(read: ReadVectors): Large[] {
  const made: Large[] = []
  /**
   * Adds a vector at a limit and one above it.
   * @param at what the vector expects at the limit
   */
  function add<File extends VectorFile>(
    file: File,
    id: string,
    limit: number,
    at: VectorOf[File]['expect'],
    change: (vector: VectorOf[File], length: number) => Partial<VectorOf[File]>,
    above: VectorOf[File]['expect'] = 'limit-exceeded',
  ): void {
    const find = () => read(file).find((vector) => vector.id === id)!
    for (const [length, expect] of [
      [limit, at],
      [limit + 1, above],
    ] as const) {
      const make = () => ({ ...find(), ...change(find(), length), expect })
      made.push({ file, id: `${id}-of-${length}`, isSlow: length >= 64 * MIB, make })
    }
  }
  const wrong = 'authentication-failed'
  const CONTENT = 64 * MIB
  const behind = (envelope: number) => (vector: { block: string }, length: number) => ({
    block: vector.block.slice(0, 2 * envelope) + zeros(length),
  })
  add('block', 'hybrid-scoped', CONTENT + 48, wrong, behind(1713))
  add('client-block', 'private-3', CONTENT + 16, wrong, behind(112))
  add('client-block', 'public', CONTENT, wrong, behind(49))
  add('vault-block', '100-bytes', CONTENT, wrong, behind(128))
  // The length of a ciphertext under DES is a multiple of 8, so one byte above the limit is malformed.
  for (const [length, expect] of [
    [CONTENT + 8, wrong],
    [CONTENT + 16, 'limit-exceeded'],
    [CONTENT + 9, 'malformed'],
  ] as const) {
    const make = () => {
      const vector = read('legacy-block').find(({ id }) => id === 'bytes-100')!
      return { ...vector, ...behind(88)(vector, length), expect }
    }
    made.push({ file: 'legacy-block', id: `bytes-100-of-${length}`, isSlow: true, make })
  }
  add('record', 'first', CONTENT + 4096, wrong, ({ record }, length) => ({
    record: record + zeros(length - record.length / 2),
  }))
  add('keyset', 'source-definition', MIB, 'malformed', (vector, length) => ({ export: filled(vector.export, length) }))
  add('device', 'login', MIB + 4096, 'malformed', ({ bytes }, length) => ({ bytes: filled(bytes, length) }))
  add(
    'armor',
    'card',
    4 * MIB,
    'ok',
    ({ text }, length) => ({ text: text.padEnd(length, '\n'), written: false }),
    'invalid-text',
  )

  /** A pack of two members: the first of this length, the second the only one of another pack. */
  const packOf = (length: number, second: string) => {
    const lengths = Buffer.alloc(12)
    for (const [i, value] of [2, length, second.length / 2].entries()) lengths.writeUInt32BE(value, 4 * i)
    return lengths.toString('hex') + zeros(length) + second
  }
  add('pack', 'k-first', 8 * MIB + 48, wrong, ({ pack }, length) => ({
    pack: packOf(length, pack.slice(-64)),
    file: '',
  }))
  // The length of another member is not looked at.
  add(
    'pack',
    'g-empty',
    8 * MIB + 48,
    'ok',
    ({ pack, member }, length) => {
      const lengths = [0, 1, 2].map((i) => Buffer.from(pack, 'hex').readUInt32BE(4 + 4 * i))
      const from = 2 * (16 + lengths[0]!)
      const own = pack.slice(from, from + 2 * lengths[1]!)
      return { pack: packOf(length, own), member }
    },
    'ok',
  )
  return made
}
