// The stores in a bucket, through the real SDK, against a bucket in memory (memory-bucket.ts). s3.test.ts has the same
// laws against a real gateway, with real races.
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CheckedStore, StoreMistake } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import type { BlobStore, StateStore } from '../../src/state/store.ts'
import { blobStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import { s3BlobStore, s3StateStore } from '../../src/stores/s3.ts'
import { checkStore } from '../../src/stores.ts'
import { all } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { type BucketAnswer, errorBody, MemoryBucket } from './memory-bucket.ts'
import { assertRefusesMistakes } from './mistakes.ts'

withoutPauses()
/** How long the pauses were, in milliseconds. */
const pauses = () => vi.mocked(setTimeout).mock.calls.map(([, delay]) => delay ?? 0)
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const asPlain = (found: Uint8Array | undefined) => found && [...found]

let bucket = new MemoryBucket()
afterEach(() => {
  bucket = new MemoryBucket()
})

const options = (prefix = 'p/') => ({ client: bucket.client(), bucket: bucket.name, prefix })
const stateStore = (): StateStore => s3StateStore(options())
const blobStore = (): BlobStore => s3BlobStore(options())
const sent = () => bucket.requests.map(({ method, key }) => `${method} ${key}`)

/** A store in which the object `a` has these versions, each with its number as its only byte. */
async function storeWith(versions: number): Promise<StateStore> {
  const store = stateStore()
  for (let version = 1; version <= versions; version++) await store.write('a', version, bytes(version))
  bucket.requests.length = 0
  return store
}

/** An answer of S3 with an error. */
const failing = (status: number, code: string): BucketAnswer => ({ status, body: errorBody(code) })

describe.each([false, true])('a bucket that wants ETags without quotation marks: %s', (wantsBareTags) => {
  const made = () => {
    bucket.wantsBareTags = wantsBareTags
  }

  it.each(stateStoreLaws(() => (made(), stateStore())))('keeps the law of state: $name', ({ check }) => check())

  it.each(blobStoreLaws(() => (made(), blobStore())))('keeps the law of blobs: $name', ({ check }) => check())

  it('passes checkStore', async () => {
    made()
    await checkStore(stateStore())
    await checkStore(blobStore())
  })

  it('is asked in its form of ETags, once the first write has shown that', async () => {
    made()
    const store = await storeWith(1)
    for (let version = 2; version <= 4; version++) expect(await store.write('a', version, bytes(version))).toBe(true)
    const tags = bucket.requests.flatMap(({ headers }) => headers['if-match'] ?? [])
    const isQuoted = tags.map((tag) => tag.startsWith('"'))
    expect(isQuoted).toEqual(wantsBareTags ? [true, false, false, false] : [true, true, true])
  })
})

describe('a state object in a bucket', () => {
  it('has the layout of the specification', async () => {
    const store = await storeWith(3)
    await store.drop('a', 2)
    expect([...bucket.objects.keys()].sort()).toEqual(['p/a', 'p/a/_/2'])
    const head = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2]
    expect(asPlain(bucket.objects.get('p/a'))).toEqual([...head, 3])
    expect(asPlain(bucket.objects.get('p/a/_/2'))).toEqual([2])
  })

  it('costs three requests to write, and one or two to read', async () => {
    const store = await storeWith(2)
    await store.write('a', 3, bytes(3))
    expect(sent()).toEqual(['GET p/a', 'PUT p/a/_/2', 'PUT p/a'])
    bucket.requests.length = 0
    await store.read('a')
    expect(asPlain(await store.readVersion('a', 3))).toEqual([3])
    expect(asPlain(await store.readVersion('a', 2))).toEqual([2])
    expect(sent()).toEqual(['GET p/a', 'GET p/a', 'GET p/a', 'GET p/a/_/2'])
    bucket.requests.length = 0
    expect(await all(store.readVersions!('a', 1))).toHaveLength(3)
    expect(sent()).toEqual(['GET p/a', 'GET p/a/_/1', 'GET p/a/_/2'])
    bucket.requests.length = 0
    expect(await store.readVersion('a', 4)).toBeUndefined()
    expect(await all(store.readVersions!('a', 4))).toEqual([])
    expect(await store.write('a', 3, bytes(9))).toBe(false)
    expect(sent()).toEqual(['GET p/a', 'GET p/a', 'GET p/a'])
  })

  it('is read ahead, sixteen versions at once and in order', async () => {
    const store = await storeWith(40)
    let open = 0
    let most = 0
    bucket.fault = async ({ key }) => {
      if (!key.includes('/_/')) return
      most = Math.max(most, ++open)
      await new Promise((resolve) => void setImmediate(resolve))
      open--
    }
    const found = await all(store.readVersions!('a', 5))
    expect(found.map(({ version }) => version)).toEqual(Array.from({ length: 36 }, (_, at) => at + 5))
    for (const { version, bytes: content } of found) expect(asPlain(content)).toEqual([version])
    expect(most).toBe(16)
  })

  it('that is read ahead and dropped meanwhile yields what is left', async () => {
    const store = await storeWith(40)
    const found: number[] = []
    for await (const { version } of store.readVersions!('a', 1)) {
      found.push(version)
      if (version === 1) await store.drop('a', 35)
    }
    expect(found.slice(-6)).toEqual([35, 36, 37, 38, 39, 40])
    expect(found.length).toBeLessThan(24)
  })

  it('may be read no further than the first versions, whatever the others would have been', async () => {
    const store = await storeWith(4)
    bucket.fault = ({ key }) => (key === 'p/a/_/2' ? failing(500, 'InternalError') : undefined)
    for await (const { version } of store.readVersions!('a', 1)) {
      expect(version).toBe(1)
      break
    }
    await expect(all(store.readVersions!('a', 1))).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } })
  })

  it('is not dropped below 1, and only listed where something was dropped', async () => {
    const store = await storeWith(3)
    for (const below of [-5, 0, 1]) await store.drop('a', below)
    expect(sent()).toEqual([])
    await store.drop('none', 5)
    expect(sent()).toEqual(['GET p/none'])
    expect(bucket.objects.size).toBe(3)
  })

  it('keeps its newest version in every drop, and deletes only its own copies', async () => {
    const store = await storeWith(30)
    for (const key of ['p/a/_/x', 'p/a/_/02', 'p/a/_/99', 'p/a/_/1x', 'p/ab', 'p/a/b']) bucket.objects.set(key, bytes())
    await store.drop('a', 1000)
    const left = ['p/a', 'p/a/_/02', 'p/a/_/1x', 'p/a/_/99', 'p/a/_/x', 'p/a/b', 'p/ab']
    expect([...bucket.objects.keys()].sort()).toEqual(left)
    expect(await store.read('a')).toMatchObject({ version: 30 })
  })

  it('does not get a lower floor by a later drop, which still deletes copies that came late', async () => {
    const store = await storeWith(5)
    await store.drop('a', 4)
    bucket.objects.set('p/a/_/2', bytes(2))
    expect(await store.readVersion('a', 2)).toBeUndefined()
    expect((await all(store.readVersions!('a', 1))).map(({ version }) => version)).toEqual([4, 5])
    bucket.requests.length = 0
    await store.drop('a', 2)
    expect(sent()).not.toContain('PUT p/a')
    expect([...bucket.objects.keys()].sort()).toEqual(['p/a', 'p/a/_/4'])
  })

  it('loses neither a write nor a drop that meet', async () => {
    const store = await storeWith(3)
    let races = 0
    bucket.fault = async ({ method, key }) => {
      if (method === 'PUT' && key === 'p/a' && races++ === 0) await stateStore().drop('a', 3)
    }
    expect(await store.write('a', 4, bytes(4))).toBe(true)
    expect(await store.readVersion('a', 2)).toBeUndefined()
    expect(await store.read('a')).toMatchObject({ version: 4 })
    races = 0
    bucket.fault = async ({ method, key }) => {
      if (method === 'PUT' && key === 'p/a' && races++ === 0) await stateStore().write('a', 5, bytes(5))
    }
    await store.drop('a', 4)
    expect(await store.read('a')).toMatchObject({ version: 5 })
    expect((await all(store.readVersions!('a', 1))).map(({ version }) => version)).toEqual([4, 5])
    expect(pauses()).toHaveLength(1)
  })

  it('that is dropped while an old version is read has no such version', async () => {
    const store = await storeWith(4)
    const other = stateStore()
    bucket.fault = async ({ method, key }) => {
      if (method === 'GET' && key === 'p/a/_/2') await other.drop('a', 3)
    }
    expect(await store.readVersion('a', 2)).toBeUndefined()
    bucket.fault = () => undefined
    // The lowest version that was kept is there, unless something else deleted it.
    expect(asPlain(await store.readVersion('a', 3))).toEqual([3])
    bucket.objects.delete('p/a/_/3')
    await expect(store.readVersion('a', 3)).rejects.toThrow('version 3 of a was deleted from the bucket')
  })

  it('is read from its newest version on, and is empty if it does not exist', async () => {
    const store = await storeWith(3)
    expect(await all(store.readVersions!('a', 3))).toEqual([{ version: 3, bytes: bytes(3) }])
    expect(await all(store.readVersions!('none', 1))).toEqual([])
  })

  it('is not written by a drop that changes nothing', async () => {
    const store = await storeWith(1)
    await store.drop('a', 5)
    expect(sent()).toEqual(['GET p/a'])
    await store.write('a', 2, bytes(2))
    await store.drop('a', 2)
    bucket.requests.length = 0
    await store.drop('a', 2)
    expect(sent()).toEqual(['GET p/a', 'GET '])
  })

  it('that others change all the time is an error after sixteen tries', async () => {
    const store = await storeWith(40)
    let floor = 1
    bucket.fault = ({ method, key }) => {
      if (method !== 'PUT' || key !== 'p/a') return
      const newest = bucket.objects.get('p/a')!
      newest[15] = ++floor
    }
    await expect(store.write('a', 41, bytes(41))).rejects.toThrow('others change a all the time: 16 tries')
    expect(floor).toBe(17)
    await expect(store.drop('a', 39)).rejects.toThrow('others change a all the time: 16 tries')
    expect(floor).toBe(33)
  })

  it('is never a version that was deleted by something else', async () => {
    const store = await storeWith(3)
    bucket.objects.delete('p/a/_/2')
    await expect(store.readVersion('a', 2)).rejects.toThrow('version 2 of a was deleted from the bucket')
    await expect(all(store.readVersions!('a', 1))).rejects.toThrow('version 2 of a was deleted')
    // All of it is gone.
    bucket.fault = ({ key }) => {
      if (key === 'p/a/_/1') bucket.objects.clear()
    }
    await expect(store.readVersion('a', 1)).rejects.toThrow('version 1 of a was deleted')
  })

  it.each([
    ['is too short', bytes(...Array<number>(15).fill(1)), false],
    ['has version 0', bytes(...Array<number>(16).fill(0)), false],
    ['has a version over 2⁵³ − 1', bytes(0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), false],
    ['has a floor above its version', bytes(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2), false],
    ['has no content', bytes(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), true],
  ])('that %s is read only if a store may have written it', async (_, content, isWhole) => {
    bucket.objects.set('p/a', content)
    const store = stateStore()
    if (isWhole) {
      expect(await store.read('a')).toEqual({ version: 1, bytes: bytes() })
      return
    }
    await expect(store.read('a')).rejects.toThrow('was not written by this store, or is damaged')
    await expect(store.write('a', 1, bytes())).rejects.toThrow('was not written by this store, or is damaged')
    expect(bucket.objects.get('p/a')).toEqual(content)
  })
})

describe('a blob in a bucket', () => {
  it('is listed in pages, with its size and date, and only if its key can be a name', async () => {
    bucket.pageSize = 3
    const store = blobStore()
    for (const name of ['data/1', 'data/2', 'data/3', 'data/4', 'index/1']) await store.put(name, bytes(1, 2))
    for (const key of ['p/READ ME.txt', 'p/data/_/1', 'other']) bucket.objects.set(key, bytes(1))
    const { modified } = bucket
    const listed = await all(store.list('data/'))
    expect(listed).toEqual(['data/1', 'data/2', 'data/3', 'data/4'].map((name) => ({ name, size: 2, modified })))
    expect(await all(store.list(''))).toHaveLength(5)
    expect(await all(store.list('none'))).toEqual([])
  })

  it('may be deleted twice', async () => {
    const store = blobStore()
    await store.put('a', bytes(1))
    await store.delete('a')
    bucket.fault = ({ method }) => (method === 'DELETE' ? failing(404, 'NoSuchKey') : undefined)
    await store.delete('a')
    bucket.fault = () => failing(403, 'AccessDenied')
    await expect(store.delete('a')).rejects.toMatchObject({ name: 'AccessDenied' })
  })

  it('is not replaced if it has other bytes, or is gone when it is written', async () => {
    const store = blobStore()
    await store.put('a', bytes(1))
    expect(await store.replace('a', bytes(2), bytes(3))).toBe(false)
    expect(await store.replace('b', bytes(2), bytes(3))).toBe(false)
    expect(sent()).toEqual(['PUT p/a', 'GET p/a', 'GET p/b'])
    bucket.fault = ({ method }) => {
      if (method === 'PUT') bucket.objects.clear()
    }
    expect(await store.replace('a', bytes(1), bytes(3))).toBe(false)
    expect(bucket.objects.size).toBe(0)
  })

  it('is replaced though another writer replaced it by the same bytes meanwhile', async () => {
    const store = blobStore()
    await store.put('a', bytes(1))
    // The form of ETags is known after this.
    expect(await store.replace('a', bytes(1), bytes(2))).toBe(true)
    let races = 0
    bucket.fault = ({ method }) => (method === 'PUT' && races++ < 3 ? failing(412, 'PreconditionFailed') : undefined)
    expect(await store.replace('a', bytes(2), bytes(3))).toBe(true)
    expect(asPlain(await store.get('a'))).toEqual([3])
    bucket.fault = ({ method }) => (method === 'PUT' ? (races++, failing(412, 'PreconditionFailed')) : undefined)
    races = 0
    await expect(store.replace('a', bytes(3), bytes(4))).rejects.toThrow('others change a all the time: 16 tries')
    expect(races).toBe(16)
  })

  it('may share memory with what the caller changes afterwards', async () => {
    const store = blobStore()
    const given = bytes(1)
    bucket.fault = () => {
      given.fill(9)
    }
    await store.put('a', given)
    expect(asPlain(bucket.objects.get('p/a'))).toEqual([1])
    const [before, after] = [bytes(1), bytes(2)]
    bucket.fault = () => {
      before.fill(9)
      after.fill(9)
    }
    expect(await store.replace('a', before, after)).toBe(true)
    expect(asPlain(bucket.objects.get('p/a'))).toEqual([2])
  })
})

describe('ETags', () => {
  it('that the server refuses in both forms are an error, and are not tried again and again', async () => {
    const store = await storeWith(1)
    bucket.fault = ({ headers }) => (headers['if-match'] ? failing(412, 'PreconditionFailed') : undefined)
    await expect(store.write('a', 2, bytes(2))).rejects.toThrow('although its ETag is the one that was sent')
    expect(bucket.requests.filter(({ headers }) => headers['if-match'])).toHaveLength(2)
  })

  it.each([
    ['the first version', 1, 0],
    ['the first form of the ETag', 2, 0],
    ['the second form of the ETag', 2, 1],
  ])('never turn a lost race into true: another writer is faster than %s', async (_, version, refusedBefore) => {
    bucket.wantsBareTags = true
    const slow = await storeWith(version - 1)
    const fast = s3StateStore(options())
    let tries = 0
    let isFirst = true
    bucket.fault = async ({ method, key }) => {
      if (method !== 'PUT' || key !== 'p/a' || !isFirst || tries++ < refusedBefore) return
      isFirst = false
      expect(await fast.write('a', version, bytes(100))).toBe(true)
    }
    expect(await slow.write('a', version, bytes(200))).toBe(false)
    expect(await fast.read('a')).toEqual({ version, bytes: bytes(100) })
  })

  it('that come without quotation marks get them, and those of a copy stay as they are', async () => {
    const store = await storeWith(1)
    const bare = (answer: BucketAnswer) => ({
      ...answer,
      headers: { ...answer.headers, etag: answer.headers!['etag']!.replaceAll('"', '') },
    })
    bucket.change = ({ method }, answer) => (method === 'GET' ? bare(answer) : answer)
    expect(await store.write('a', 2, bytes(2))).toBe(true)
  })
})

describe('an answer that is none', () => {
  it('of a bucket that does not exist is never "there is none"', async () => {
    const nowhere = { client: bucket.client(), bucket: 'nowhere' }
    const [state, blobs] = [s3StateStore(nowhere), s3BlobStore(nowhere)]
    for (const call of [
      () => state.read('a'),
      () => state.readVersion('a', 1),
      () => state.write('a', 1, bytes()),
      () => state.drop('a', 2),
      () => all(state.readVersions!('a', 1)),
      () => blobs.get('a'),
      () => blobs.put('a', bytes()),
      () => blobs.replace('a', bytes(), bytes()),
      () => blobs.delete('a'),
      () => all(blobs.list('')),
    ])
      await expect(call()).rejects.toMatchObject({ name: 'NoSuchBucket' })
  })

  it.each([
    ['a 404 of a proxy', { status: 404 }],
    ['a 404 with a page', { status: 404, body: '<html>NoSuchKey</html>' }],
    ['an error that only has the name', failing(500, 'NoSuchKey')],
  ])('because it is %s is never "there is none"', async (_, answer) => {
    bucket.fault = () => answer
    await expect(stateStore().read('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: answer.status } })
    await expect(blobStore().get('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: answer.status } })
    await expect(blobStore().delete('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: answer.status } })
  })

  it('because it was cut is an error and never a shorter object', async () => {
    const store = await storeWith(1)
    bucket.change = (_, answer) => ({ ...answer, body: (answer.body as Uint8Array).subarray(0, -1) })
    await expect(store.read('a')).rejects.toThrow('the answer for a was cut: it has 16 of 17 bytes')
    expect(await store.read('a').catch(() => 'an error')).toBe('an error')
    // A server need not say how long an object is.
    bucket.change = (_, { status, headers, body }) => ({ status, headers: { etag: headers!['etag']! }, body: body! })
    expect(await store.read('a')).toEqual({ version: 1, bytes: bytes(1) })
  })

  it('because it has no ETag is a mistake of the server', async () => {
    const store = await storeWith(1)
    for (const headers of [{}, { etag: '' }]) {
      bucket.change = (_, answer) => ({ ...answer, headers })
      await expect(store.read('a')).rejects.toThrow(StoreMistake)
    }
  })

  it.each([
    [{ IsTruncated: true }],
    [{ IsTruncated: true, NextContinuationToken: '' }],
    [{ Contents: 'a' }],
    [{ Contents: [undefined] }],
    [{ Contents: [{ Size: 1, LastModified: new Date() }] }],
    [{ Contents: [{ Key: 'p/a', LastModified: new Date() }] }],
    [{ Contents: [{ Key: 'p/a', Size: 1 }] }],
    [undefined],
    [null],
    ['text'],
  ])('because the client lists %o is a mistake', async (answer) => {
    const store = s3BlobStore({ client: { send: () => Promise.resolve(answer) }, bucket: 'b' })
    await expect(all(store.list(''))).rejects.toThrow(StoreMistake)
    if (typeof answer !== 'object') await expect(store.get('a')).rejects.toThrow(StoreMistake)
  })

  it('because a list gives the same token again is a mistake, and does not go on for ever', async () => {
    let calls = 0
    const send = () => {
      if (++calls > 5) throw new Error('for ever')
      return Promise.resolve({ IsTruncated: true, NextContinuationToken: 'x' })
    }
    const store = s3BlobStore({ client: { send }, bucket: 'b' })
    await expect(all(store.list(''))).rejects.toThrow('this server ends a list early')
    expect(calls).toBe(2)
  })

  it.each([[undefined], ['']])('because a later page does not say where the list goes on: %j', async (token) => {
    const pages = [
      { IsTruncated: true, NextContinuationToken: 'x' },
      { IsTruncated: true, NextContinuationToken: token },
    ]
    const send = () => Promise.resolve(pages.shift() ?? { IsTruncated: false })
    const store = s3BlobStore({ client: { send }, bucket: 'b' })
    await expect(all(store.list(''))).rejects.toThrow('this server ends a list early')
  })

  it.each([[undefined], [null], ['text'], [{}]])('is passed on if the client throws %j', async (thrown) => {
    let calls = 0
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a client may throw anything
    const send = () => (calls++, Promise.reject(thrown))
    const store = s3BlobStore({ client: { send }, bucket: 'b' })
    for (const call of [() => store.get('a'), () => store.put('a', bytes(1)), () => store.delete('a')]) {
      calls = 0
      expect(
        await call().then(
          () => 'an answer',
          (error: unknown) => error,
        ),
      ).toBe(thrown)
      expect(calls).toBe(1)
    }
  })

  it('ends the list if it is not truncated, though it has a token, and an empty one has no contents', async () => {
    let calls = 0
    const send = () => (calls++, Promise.resolve({ IsTruncated: false, NextContinuationToken: 'x' }))
    expect(await all(s3BlobStore({ client: { send }, bucket: 'b' }).list(''))).toEqual([])
    expect(calls).toBe(1)
  })

  it('because the body of an object cannot be read is a mistake', async () => {
    for (const Body of [undefined, {}, { transformToByteArray: () => Promise.resolve('text') }]) {
      const send = () => Promise.resolve({ Body, ETag: '"x"' })
      await expect(s3BlobStore({ client: { send }, bucket: 'b' }).get('a')).rejects.toThrow(StoreMistake)
    }
  })
})

describe('a conflict (409)', () => {
  it('is offered again, and the answer is the one of the repetition', async () => {
    const store = stateStore()
    for (let version = 1; version <= 3; version++) {
      let conflicts = 0
      bucket.fault = ({ method, headers }) => {
        const isCondition = headers['if-match'] !== undefined || headers['if-none-match'] !== undefined
        return method === 'PUT' && isCondition && conflicts++ < 5 ? failing(409, 'OperationAborted') : undefined
      }
      vi.mocked(setTimeout).mockClear()
      expect(await store.write('a', version, bytes(version))).toBe(true)
      expect(pauses()).toHaveLength(5)
    }
  })

  it('that never ends is thrown as the error of the SDK, after six tries', async () => {
    bucket.fault = () => failing(409, 'OperationAborted')
    await expect(blobStore().put('a', bytes(1))).rejects.toMatchObject({ $metadata: { httpStatusCode: 409 } })
    expect(bucket.requests).toHaveLength(6)
  })
})

describe('a lost answer', () => {
  it('is settled: the write happened, and its answer was an error', async () => {
    const store = new CheckedStore(stateStore())
    for (let version = 1; version <= 3; version++) {
      let faults = 0
      bucket.change = ({ method, key }, answer) =>
        method === 'PUT' && key === 'p/a' && faults++ === 0 ? failing(503, 'SlowDown') : answer
      expect(await writeSettled(store, 'a', version, bytes(version))).toBe('written')
      expect(await store.read('a')).toEqual({ version, bytes: bytes(version) })
    }
  })
})

describe('options', () => {
  it.each([
    [{ bucket: 'b' }, /client/],
    [{ client: {}, bucket: 'b' }, 'client must be an S3Client of @aws-sdk/client-s3'],
    [{ client: null, bucket: 'b' }, /client/],
    [{ client: new S3Client({ region: 'x' }) }, /bucket/],
    [{ client: new S3Client({ region: 'x' }), bucket: '' }, 'bucket must be the name of a bucket'],
    [{ client: new S3Client({ region: 'x' }), bucket: 5 }, 'bucket must be the name of a bucket'],
    [{ client: new S3Client({ region: 'x' }), bucket: 'b', prefix: 5 }, 'prefix must be a string'],
    [{ client: new S3Client({ region: 'x' }), bucket: 'b', prefix: undefined }, /prefix/],
    [{ client: new S3Client({ region: 'x' }), bucket: 'b', folder: 'x' }, /no option/],
  ])('that are wrong are TypeErrors: case %#', (wrong, message) => {
    for (const make of [s3StateStore, s3BlobStore]) {
      expect(() => make(wrong as never)).toThrow(TypeError)
      expect(() => make(wrong as never)).toThrow(message)
    }
  })

  it('need no prefix', async () => {
    const store = s3StateStore({ client: bucket.client(), bucket: bucket.name })
    await store.write('a', 1, bytes(1))
    expect([...bucket.objects.keys()]).toEqual(['a'])
  })

  it('of names and versions are checked before anything is sent', async () => {
    await assertRefusesMistakes(stateStore(), blobStore())
    expect(bucket.requests).toEqual([])
  })
})
