// The owner: it alone has the keyset's password. It seals the blocks, regenerates, and at the end trusts nobody: it checks
// every head, and opens every block.
import { type BlockHead, type Keyset, openFrom, sealInto } from 'keystrata'
import type { Blocks } from 'keystrata/stores'
import { newPool } from '../threads.ts'

/** How many blocks are under way at once. They are small. */
const AHEAD = 512

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The content of a block: what every file of a real backup is, but short, and it says its number. */
const contentOf = (number: number): Uint8Array => encoder.encode(`block ${number} of the fleet`)

function numberIn(content: Uint8Array): number {
  const number = /^block (\d+) of the fleet$/.exec(decoder.decode(content))?.[1]
  if (number === undefined) throw new Error('a block has another content than was sealed')
  return Number(number)
}

/** Seals the blocks with the numbers from `start` to `end - 1`, in several threads. */
export async function sealBlocks(
  blocks: Blocks,
  keyset: Keyset,
  { start, end, onSealed }: { start: number; end: number; onSealed: (sealed: number) => void },
): Promise<void> {
  await using pool = newPool()
  const contents = function* () {
    for (let number = start; number < end; number++) yield contentOf(number)
  }
  // All contents are new, or were sealed by a run that was stopped. `put` finds out, so nobody asks before.
  const store = { has: async () => false, put: blocks.put.bind(blocks) }
  let sealed = start
  for await (const { size } of sealInto(store, pool.writer(keyset), contents(), { ahead: AHEAD })) {
    if (size > 0) onSealed(++sealed)
  }
}

/** Opens every block, and checks that each number is there exactly once. Returns how many blocks there are. */
export async function openAll(
  blocks: Blocks,
  keyset: Keyset,
  { count, onOpened }: { count: number; onOpened: (opened: number) => void },
): Promise<void> {
  await using pool = newPool()
  const seen = new Uint8Array(Math.ceil(count / 8))
  let opened = 0
  const labels = labelsOf(blocks.heads())
  for await (const content of openFrom(blocks, pool.reader(keyset), labels, { ahead: AHEAD })) {
    const number = numberIn(content)
    const [index, bit] = [number >> 3, 1 << (number & 7)]
    if (number >= count) throw new Error(`block ${number} was never sealed`)
    if ((seen[index]! & bit) !== 0) throw new Error(`block ${number} is there twice`)
    seen[index]! |= bit
    onOpened(++opened)
  }
  if (opened !== count) throw new Error(`${count - opened} of ${count} blocks are lost`)
}

async function* labelsOf(heads: AsyncIterable<BlockHead>): AsyncGenerator<string> {
  for await (const { label } of heads) yield label
}
