// A short test of a store, for the start of a program.
import { concat, equalBytes, filled, u64 } from '../core/bytes.ts'
import { timeOf } from '../core/realms.ts'
import { checkedFlag, CheckedStore, listBlobs, readBlob, StoreMistake } from '../state/checked.ts'
import type { BlobStore, RegistryStore, StateStore } from '../state/store.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { randomBytes } from '../primitives/random.ts'

const WRITERS = 4

/** Other programs may check the same store at the same time. After so many interrupted checks, give up. */
const TRIES = 10

/** Two names, of which one could be the place of a version of the other. */
const OUTER = 'check'
const INNER = 'check/1'

/** More than fits into a BLOB of MySQL. */
const LONG_BYTES = 70_000

const OTHER_BYTES = 'it returns other bytes than the successful write stored'

/**
 * Checks that a store keeps the most important rules, before a program relies on it. It finds stores that ignore
 * conditions, such as S3 servers that accept `If-None-Match` and overwrite nevertheless, and stores whose answers have
 * the wrong type. It makes about thirty calls, the first time about fifty, and leaves the small objects `check` and
 * `check/1` in a StateStore. On S3 a call of a StateStore takes one or two requests.
 * The full tests are in `keystrata/stores/contract`.
 * @throws TypeError that names the rule which the store breaks
 * @throws the store's own errors
 * @example
 * ```ts
 * import { checkStore, memoryStateStore } from 'keystrata/stores'
 *
 * await checkStore(memoryStateStore())
 * ```
 */
export async function checkStore(store: StateStore | BlobStore): Promise<void> {
  const { write, put } = Object(store) as Partial<StateStore & BlobStore>
  if (typeof write !== 'function' && typeof put !== 'function') {
    throw new TypeError('checkStore takes a StateStore or a BlobStore: this has neither write nor put')
  }
  if (typeof write === 'function') await checkStateStore(store as StateStore)
  if (typeof put === 'function') await checkBlobStore(store as BlobStore)
}

function assert(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new StoreMistake(`this store cannot be used: ${rule}`)
}

async function checkStateStore(given: StateStore): Promise<void> {
  const store = new CheckedStore(given)
  const first = await firstOfTwo(store, OUTER)
  for (let tries = 1; !(await checkVersions(store)); tries++) {
    assert(tries < TRIES, 'write returns false every time')
    await pauseBeforeRetry(tries, 1)
  }
  await checkOrder(store)
  const [newest, after] = [await store.read(OUTER), await store.readVersion(OUTER, 1)]
  const isSame = newest?.version === 2 && after !== undefined && equalBytes(after, first)
  assert(isSame, 'objects whose names begin alike get mixed up')
  if ('once' in given) await checkOnce(given as RegistryStore)
}

/** Contents that no other program writes. They contain every byte, so that a store of text damages them. */
const unique = (number: number, length = 0): Uint8Array =>
  concat(
    u64(number),
    randomBytes(8),
    filled(256 + length, (index) => index),
  )

/** Writes versions 1 and 2 of an object, unless they are there. Returns the bytes of version 1. */
async function firstOfTwo(store: CheckedStore, name: string): Promise<Uint8Array> {
  const own = unique(0)
  const before = (await store.read(name))?.version ?? 0
  const isOwn = before < 1 && (await store.write(name, 1, own))
  if (before < 2) await store.write(name, 2, unique(0))
  const first = await store.readVersion(name, 1)
  assert(first !== undefined, 'it does not return what was just written')
  assert(!isOwn || equalBytes(first, own), OTHER_BYTES)
  return first
}

/**
 * Checks how versions are written.
 * @returns false if another program wrote meanwhile, so that nothing is proven
 */
async function checkVersions(store: CheckedStore): Promise<boolean> {
  const name = INNER
  const next = ((await store.read(name))?.version ?? 0) + 1
  const gap = next + 1000
  assert(!(await store.write(name, gap, unique(0))), 'it writes a version although the previous one is missing')
  assert((await store.readVersion(name, gap)) === undefined, 'it stores a version that it refused')

  const contents = Array.from({ length: WRITERS }, (_, writer) => unique(writer))
  const answers = await Promise.all(contents.map((bytes) => store.write(name, next, bytes)))
  const winners = contents.filter((_, writer) => answers[writer])
  assert(winners.length <= 1, 'several writers of one version get true: it ignores the condition of a write')
  const newest = await store.read(name)
  assert(newest !== undefined && newest.version >= next, 'it does not return what was just written')
  const [winner] = winners
  if (winner === undefined || newest.version > next) return false
  assert(equalBytes(newest.bytes, winner), OTHER_BYTES)
  assert(!(await store.write(name, next, unique(0))), 'it writes a version twice')

  const long = unique(0, LONG_BYTES)
  if (!(await store.write(name, next + 1, long))) return false
  const stored = await store.readVersion(name, next + 1)
  assert(stored === undefined || equalBytes(stored, long), `${OTHER_BYTES}, of ${long.length} bytes`)
  if (!(await store.write(name, next + 2, unique(0)))) return false
  // Another program may drop it, but only after it wrote versions behind it.
  const isKept = stored !== undefined || ((await store.read(name))?.version ?? 0) > next + 2
  assert(isKept, 'readVersion does not return what was just written')

  await store.drop(name, next + 2)
  for (const version of [1, next, next + 1])
    assert(!(await store.write(name, version, unique(0))), 'it writes a dropped version again')
  const last = await store.read(name)
  assert(last !== undefined && last.version >= next + 2, 'dropping old versions loses the newest')
  return true
}

/** Checks that version 10 comes after version 9: a store that compares them as text never gets there. */
async function checkOrder(store: CheckedStore): Promise<void> {
  for (let tries = 1; ; tries++) {
    const newest = (await store.read(INNER))?.version ?? 0
    if (newest > 10) return
    assert(tries < 3 * TRIES, `it does not count on from version ${newest}: it does not compare versions as numbers`)
    if (!(await store.write(INNER, newest + 1, unique(0)))) await pauseBeforeRetry(tries, 1)
  }
}

async function checkOnce(store: RegistryStore): Promise<void> {
  const key = crypto.randomUUID()
  const until = new Date(Date.now() + 60_000)
  const answers = await Promise.all(Array.from({ length: WRITERS }, () => store.once(key, until)))
  const first = answers.filter((answer: unknown) => checkedFlag(answer, 'once')).length
  assert(first === 1, `once returns true to ${first} of ${WRITERS} callers`)
}

async function checkBlobStore(store: BlobStore): Promise<void> {
  const name = `check/${crypto.randomUUID()}`
  try {
    await checkBlob(store, name)
  } finally {
    await store.delete(name)
  }
  assert((await readBlob(store, name)) === undefined, 'a deleted blob is still there')
  for await (const found of listBlobs(store, name)) assert(found.name !== name, 'list yields a deleted blob')
}

async function checkBlob(store: BlobStore, name: string): Promise<void> {
  const put = async (bytes: Uint8Array) => checkedFlag(await store.put(name, bytes), 'put')
  const replace = async (expected: Uint8Array, next: Uint8Array) =>
    checkedFlag(await store.replace(name, expected, next), 'replace')
  const holds = async (bytes: Uint8Array) => {
    const found = await readBlob(store, name)
    return found !== undefined && equalBytes(found, bytes)
  }

  assert((await readBlob(store, name)) === undefined, 'get returns something for a blob that does not exist')
  assert(!(await replace(unique(0), unique(1))), 'replace creates a blob')
  const contents = Array.from({ length: WRITERS }, (_, writer) => unique(writer))
  const puts = await Promise.all(contents.map(put))
  const first = onlyWinner(contents, puts, 'put')
  assert(!(await put(unique(0))), 'put returns true although the blob exists: it ignores the condition')
  assert(await holds(first), 'put replaces a blob that exists')

  assert(!(await replace(unique(0), unique(1))), 'replace returns true although the blob has other bytes')
  assert(await holds(first), 'replace ignores the bytes that were expected')
  const nexts = Array.from({ length: WRITERS }, (_, writer) => unique(writer, LONG_BYTES))
  const replaced = await Promise.all(nexts.map((next) => replace(first, next)))
  const current = onlyWinner(nexts, replaced, 'replace')
  assert(await holds(current), 'it does not return what was just written')

  const found: { name: string; size: unknown; modified: unknown }[] = []
  for await (const each of listBlobs(store, name)) found.push(each)
  const [blob, ...others] = found
  const isOne = blob?.name === name && blob.size === current.length && others.length === 0
  assert(isOne, 'list does not yield the blob once, with its size')
  assert(Number.isFinite(timeOf(blob.modified)), 'list does not yield a Date as modified')
}

/** Returns the content of the one writer that got true. */
function onlyWinner(contents: readonly Uint8Array[], answers: readonly boolean[], method: string): Uint8Array {
  const [winner, ...others] = contents.filter((_, writer) => answers[writer])
  const isOne = winner !== undefined && others.length === 0
  assert(isOne, `${method} does not return true to exactly one of several writers: it ignores the condition`)
  return winner
}
