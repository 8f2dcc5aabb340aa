// Audits the blocks of a store without any key: whether each head names a ciphertext that is there, with the right
// length and, if asked, the right bytes. It cannot tell whether a block opens: `verifyBlocks` does, with a key.
import { equalBytes } from '../core/bytes.ts'
import { envelopeLength } from '../core/envelope.ts'
import { KeystrataError } from '../core/errors.ts'
import { inOrder } from '../core/in-order.ts'
import { optionsFrom } from '../core/options.ts'
import { sizeOfBlob } from './blob-size.ts'
import { ciphertextName, hashOf, type HeadParts, labelPrefixFrom, parseHead } from './blocks.ts'
import { listBlobs, readBlob } from './checked.ts'
import { HEADS_PER_BLOCK, paceFrom } from './pace.ts'
import type { BlobStore } from './store.ts'

/**
 * What is wrong with a block in a store. `missing`: its ciphertext is not there. `length`: the ciphertext has another
 * length than the head says. `hash`: it has other bytes. `malformed`: the head is damaged.
 * @example
 * ```ts
 * import type { BlockProblem } from 'keystrata/stores'
 *
 * const toLine = ({ label, problem, share }: BlockProblem) => `${label}: ${problem}${share ? ` in share ${share}` : ''}`
 * ```
 */
export interface BlockProblem {
  readonly label: string
  readonly problem: 'missing' | 'length' | 'hash' | 'malformed'
  /** The id of the share whose head it is. Absent for the block's own head. */
  readonly share?: string
}

/** What checking needs of a store. */
type CheckableBlobs = Pick<BlobStore, 'get' | 'list'>

/** A head in a listing. */
interface Listed {
  readonly name: string
  readonly label: string
  readonly share: string | undefined
}

/** How many ciphertexts are read at once. */
const CIPHERTEXTS_AT_ONCE = 2

/**
 * Checks every block in the layout of `blocksIn`: the blocks of all owners, and the heads of all shares. It needs no key,
 * so anyone who runs the store can run it. For each head it reads the head and the size of its ciphertext. Without a key it
 * cannot see damage inside an envelope: `verifyBlocks` can.
 * @param options `prefix`: only labels that begin with these hex digits; `readData`: also reads every ciphertext and
 *   compares its hash, which takes as long as reading the whole store; `signal`
 * @returns the problems that were found, each head at most once. A ciphertext that no head names is no problem
 * @throws KeystrataError `aborted` if the signal was aborted
 * @throws TypeError if `prefix` is not the beginning of a label, or for an unknown option
 * @throws TypeError if the store breaks its contract: an audit that skips what it cannot read would find nothing
 * @example
 * ```ts
 * import { checkBlocks, memoryBlobStore } from 'keystrata/stores'
 *
 * const problems: string[] = []
 * for await (const { label } of checkBlocks(memoryBlobStore(), { readData: true })) problems.push(label)
 * console.log(problems) // []
 * ```
 */
export function checkBlocks(
  blobs: BlobStore,
  options?: { prefix?: string | undefined; readData?: boolean | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<BlockProblem> {
  const rules = { prefix: 'optional', readData: 'optional', signal: 'optional' } as const
  const { prefix = '', readData = false, ...rest } = optionsFrom(options, rules, 'checkBlocks')
  const { signal } = paceFrom(rest)
  if (typeof readData !== 'boolean') throw new TypeError('readData must be true or false')
  const heads = listedHeads(blobs, labelPrefixFrom(prefix))
  const check = (head: Listed) => problemOf(blobs, head, readData)
  const most = readData ? CIPHERTEXTS_AT_ONCE : HEADS_PER_BLOCK
  return (async function* () {
    for await (const problem of inOrder(heads, check, { most, signal })) if (problem !== undefined) yield problem
  })()
}

async function* listedHeads(blobs: CheckableBlobs, prefix: string): AsyncGenerator<Listed> {
  const start = `head/${prefix}`
  for await (const { name } of listBlobs(blobs, start)) {
    const [, label] = /^head\/([\da-f]{64})$/.exec(name) ?? []
    if (label !== undefined) yield { name, label, share: undefined }
  }
  for await (const { name } of listBlobs(blobs, 'share/')) {
    const [, share, label] = /^share\/(.+)\/([\da-f]{64})$/s.exec(name) ?? []
    if (label?.startsWith(prefix) === true) yield { name, label, share }
  }
}

async function problemOf(
  blobs: CheckableBlobs,
  { name, label, share }: Listed,
  readData: boolean,
): Promise<BlockProblem | undefined> {
  const stored = await readBlob(blobs, name)
  // It was deleted since.
  if (stored === undefined) return undefined
  const problem = (kind: BlockProblem['problem']): BlockProblem => ({
    label,
    problem: kind,
    ...(share !== undefined && { share }),
  })
  const head = wholeHead(stored)
  if (head === undefined) return problem('malformed')
  if (share !== undefined && (await isOwnToo(blobs, label, head))) return undefined
  const data = ciphertextName(head.hash)
  const size = await sizeOfBlob(blobs, data)
  if (size === undefined) return problem('missing')
  if (size !== head.length) return problem('length')
  if (!readData) return undefined
  const ciphertext = await readBlob(blobs, data)
  if (ciphertext === undefined) return problem('missing')
  return equalBytes(await hashOf(ciphertext), head.hash) ? undefined : problem('hash')
}

/** Returns a head whose envelope has the form of an envelope, or undefined. That of a later release is not a problem. */
function wholeHead(stored: Uint8Array): HeadParts | undefined {
  try {
    const head = parseHead(stored)
    return envelopeLength(head.envelope) === head.envelope.length ? head : undefined
  } catch (error) {
    if (!(error instanceof KeystrataError)) throw error
    return error.code === 'unsupported' ? parseHead(stored) : undefined
  }
}

/** Returns whether the block's own head names the same ciphertext, which was checked for that head. */
async function isOwnToo(blobs: CheckableBlobs, label: string, { hash, length }: HeadParts): Promise<boolean> {
  const stored = await readBlob(blobs, `head/${label}`)
  const own = stored === undefined ? undefined : wholeHead(stored)
  return own?.length === length && equalBytes(own.hash, hash)
}
