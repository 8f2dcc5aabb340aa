// The stores in a bucket, through the real SDK, against a real gateway of Ceph (see rados-gateway.ts). The whole file
// takes about 25 seconds.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import type { BlobStore, StateStore } from '../../src/state/store.ts'
import { blobStoreLaws, stateStoreLaws } from '../../src/stores/contract.ts'
import { s3BlobStore, s3StateStore } from '../../src/stores/s3.ts'
import { checkStore } from '../../src/stores.ts'
import { all } from '../fixtures.ts'
import { allEntries, appendEntries, type Appended, entriesOf } from './append-entries.ts'
import { assertRefusesMistakes } from './mistakes.ts'
import { type RadosGateway, s3ClientOf, startRadosGateway } from './rados-gateway.ts'
import { type ProxiedRequest, type S3Proxy, startS3Proxy } from './s3-proxy.ts'
import { mayStart } from './servers.ts'

const BUCKET = 'keystrata'
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

let gateway: RadosGateway
let proxy: S3Proxy
let client: S3Client
let proxied: S3Client

const clientOf = (endpoint: string, config?: S3ClientConfig): S3Client => s3ClientOf(gateway, endpoint, config)

describe.skipIf(!mayStart('radosgw'))('stores in a bucket', () => {
  beforeAll(async () => {
    gateway = await startRadosGateway()
    proxy = await startS3Proxy(gateway.endpoint, gateway.credentials.secretAccessKey)
    client = clientOf(gateway.endpoint)
    proxied = clientOf(proxy.endpoint)
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  }, 120_000)

  afterAll(async () => {
    client.destroy()
    proxied.destroy()
    await proxy.stop()
    await gateway.stop()
  })

  afterEach(() => {
    proxy.fault = () => undefined
    proxy.log.length = 0
  })

  /** A store with a prefix that nothing else uses, so that no test sees another one's objects. */
  const stateStore = (by = client, prefix = `${crypto.randomUUID()}/`): StateStore =>
    s3StateStore({ client: by, bucket: BUCKET, prefix })
  const blobStore = (by = client, prefix = `${crypto.randomUUID()}/`): BlobStore =>
    s3BlobStore({ client: by, bucket: BUCKET, prefix })

  const raw = async (key: string): Promise<Uint8Array | undefined> => {
    const answer = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
    return answer.Body?.transformToByteArray()
  }
  const keysUnder = async (prefix: string): Promise<string[]> => {
    const answer = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix }))
    return (answer.Contents ?? []).map(({ Key }) => (Key ?? '').slice(prefix.length))
  }
  const isWrite = ({ method, headers }: ProxiedRequest): boolean =>
    method === 'PUT' && (headers['if-match'] !== undefined || headers['if-none-match'] !== undefined)

  describe('a StateStore', () => {
    it.each(stateStoreLaws(() => stateStore()))('keeps the law: $name', ({ check }) => check())

    it('passes checkStore, at every start', async () => {
      const store = stateStore()
      for (let start = 0; start < 3; start++) await checkStore(store)
      await Promise.all([checkStore(store), checkStore(store)])
    })

    it('has the layout of the specification', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(client, prefix)
      for (let version = 1; version <= 3; version++) await store.write('log/a-b', version, bytes(version, 7))
      await store.drop('log/a-b', 2)
      expect(await keysUnder(prefix)).toEqual(['log/a-b', 'log/a-b/_/2'])
      const head = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2]
      expect([...(await raw(`${prefix}log/a-b`))!]).toEqual([...head, 3, 7])
      expect([...(await raw(`${prefix}log/a-b/_/2`))!]).toEqual([2, 7])
    })

    it('works without a prefix', async () => {
      const name = `no-prefix/${crypto.randomUUID()}`
      const store = s3StateStore({ client, bucket: BUCKET })
      expect(await store.write(name, 1, bytes())).toBe(true)
      expect(await store.read(name)).toEqual({ version: 1, bytes: bytes() })
      expect(await keysUnder(name)).toEqual([''])
    })

    it('has the copy of a version before the next version is there', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(proxied, prefix)
      await store.write('a', 1, bytes(1))
      // The writer is killed between the copy and the write.
      proxy.fault = (asked) => (isWrite(asked) ? { forward: false, status: 400 } : undefined)
      await expect(store.write('a', 2, bytes(2))).rejects.toThrow()
      expect(await keysUnder(prefix)).toEqual(['a', 'a/_/1'])
      proxy.fault = () => undefined
      expect(await store.read('a')).toEqual({ version: 1, bytes: bytes(1) })
      expect(await store.readVersion('a', 1)).toEqual(bytes(1))
      expect(await store.write('a', 2, bytes(3))).toBe(true)
      expect(await store.readVersion('a', 1)).toEqual(bytes(1))
    })

    it('does not read a copy below the floor, and deletes it at the next drop', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(client, prefix)
      for (let version = 1; version <= 4; version++) await store.write('a', version, bytes(version))
      await store.drop('a', 3)
      // A late writer puts back the copy that it had begun to write before the drop.
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}a/_/2`, Body: bytes(2) }))
      expect(await store.readVersion('a', 2)).toBeUndefined()
      await store.drop('a', 3)
      expect(await keysUnder(prefix)).toEqual(['a', 'a/_/3'])
    })

    it('finishes a drop that was interrupted after it raised the floor', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(proxied, prefix)
      for (let version = 1; version <= 3; version++) await store.write('a', version, bytes(version))
      proxy.fault = ({ method }) => (method === 'DELETE' ? { forward: false, status: 403 } : undefined)
      await expect(store.drop('a', 3)).rejects.toThrow()
      proxy.fault = () => undefined
      expect(await store.readVersion('a', 2)).toBeUndefined()
      await store.drop('a', 3)
      expect(await keysUnder(prefix)).toEqual(['a'])
    })

    it('loses neither a write nor a drop that meet', async () => {
      const store = stateStore()
      await store.write('a', 1, bytes(1))
      for (let version = 2; version <= 12; version++) {
        const [written] = await Promise.all([
          store.write('a', version, bytes(version)),
          store.drop('a', version - 1),
          store.drop('a', version),
        ])
        expect(written).toBe(true)
        expect(await store.read('a')).toEqual({ version, bytes: bytes(version) })
        if (version > 2) expect(await store.readVersion('a', version - 2)).toBeUndefined()
      }
    })

    it('throws for a version that another program deleted, instead of returning undefined', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(client, prefix)
      for (let version = 1; version <= 3; version++) await store.write('a', version, bytes(version))
      await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: `${prefix}a/_/2` }))
      await expect(store.readVersion('a', 2)).rejects.toThrow('version 2 of a was deleted from the bucket')
      await expect(all(store.readVersions!('a', 1))).rejects.toThrow('version 2 of a was deleted')
    })

    it('streams the versions that are left while others are dropped', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(client, prefix)
      for (let version = 1; version <= 40; version++) await store.write('a', version, bytes(version))
      const found: number[] = []
      for await (const { version, bytes: content } of store.readVersions!('a', 1)) {
        expect(content).toEqual(bytes(version))
        found.push(version)
        if (version === 1) await store.drop('a', 35)
      }
      expect(found.slice(-6)).toEqual([35, 36, 37, 38, 39, 40])
      expect(await keysUnder(prefix)).toEqual(['a', ...[35, 36, 37, 38, 39].map((version) => `a/_/${version}`)])
    })

    it.each([
      ['of something else', bytes(1, 2, 3)],
      ['with version 0', bytes(...Array<number>(16).fill(0))],
      ['with a floor above its version', bytes(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2)],
    ])('refuses to read or replace an object %s', async (_, content) => {
      const prefix = `${crypto.randomUUID()}/`
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}a`, Body: content }))
      const store = stateStore(client, prefix)
      await expect(store.read('a')).rejects.toThrow('was not written by this store, or is damaged')
      await expect(store.write('a', 1, bytes())).rejects.toThrow('was not written by this store, or is damaged')
    })

    it('loses nothing that was acknowledged when three processes write and drop', async () => {
      const [writers, count] = [3, process.env['SLOW'] === '1' ? 200 : 30]
      const { accessKeyId, secretAccessKey } = gateway.credentials
      const script = join(import.meta.dirname, 's3-writer.ts')
      const results = await Promise.all(
        Array.from({ length: writers }, (_, writer) =>
          promisify(execFile)(process.execPath, [
            ...['--import', 'tsx', script, gateway.endpoint, accessKeyId, secretAccessKey, BUCKET, 'shared'],
            ...[String(writer), String(count)],
          ]),
        ),
      )
      const appended = results.map(({ stdout }) => JSON.parse(stdout) as Appended)
      // Otherwise they did not race, and nothing is proven.
      expect(appended.reduce((sum, { taken }) => sum + taken, 0)).toBeGreaterThan(0)
      const newest = await stateStore(client, 'processes/').read('shared')
      expect(entriesOf(newest!.bytes).sort()).toEqual(allEntries(writers, count))
      expect(newest?.version).toBe(writers * count)
    })
  })

  describe('a BlobStore', () => {
    it.each(blobStoreLaws(() => blobStore()))('keeps the law: $name', ({ check }) => check())

    it('passes checkStore, and keeps nothing of it', async () => {
      const store = blobStore()
      await checkStore(store)
      expect(await all(store.list(''))).toEqual([])
    })

    it('lists only what can be the name of a blob', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const store = blobStore(client, prefix)
      for (const key of ['READ ME.txt', 'data/_/1', 'data/a-b'])
        await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: prefix + key, Body: bytes(1) }))
      expect((await all(store.list(''))).map(({ name }) => name)).toEqual(['data/a-b'])
    })

    it('stores blobs without bytes', async () => {
      const store = blobStore()
      expect(await store.put('a', bytes())).toBe(true)
      expect(await store.put('a', bytes())).toBe(false)
      expect(await store.get('a')).toEqual(bytes())
      expect(await store.replace('a', bytes(), bytes(1))).toBe(true)
      expect(await store.replace('a', bytes(1), bytes())).toBe(true)
      expect(await store.get('a')).toEqual(bytes())
    })
  })

  describe('a server that ignores conditions', () => {
    it.each(['if-none-match', 'if-match'])('does not pass checkStore for blobs if it ignores %s', async (header) => {
      proxy.fault = ({ method }) => (method === 'PUT' ? { without: [header] } : undefined)
      await expect(checkStore(blobStore(proxied))).rejects.toThrow('it ignores the condition')
    })

    it.each(['if-none-match', 'if-match'])('does not pass checkStore for state if it ignores %s', async (header) => {
      const store = stateStore(proxied)
      // Version 1 is the one that is written with If-None-Match.
      if (header === 'if-match') await store.write('check', 1, bytes())
      proxy.fault = ({ method }) => (method === 'PUT' ? { without: [header] } : undefined)
      // A condition is only ignored where two writers meet, which a busy machine can prevent.
      const check = async () => expect(checkStore(store)).rejects.toThrow('this store cannot be used')
      await vi.waitFor(check, { timeout: 20_000 })
    })
  })

  describe('ETags', () => {
    it('are sent in the one form that this gateway takes, once the first write has shown it', async () => {
      const forms: boolean[] = []
      proxy.fault = ({ headers: { 'if-match': etag } }) => {
        if (etag !== undefined) forms.push(etag.startsWith('"'))
        return undefined
      }
      const store = stateStore(proxied)
      for (let version = 1; version <= 4; version++) expect(await store.write('a', version, bytes(version))).toBe(true)
      // The first is refused with quotation marks.
      expect(forms).toEqual([true, false, false, false])
    })

    it('are sent in quotation marks to a server that takes them', async () => {
      const forms: boolean[] = []
      proxy.fault = ({ headers: { 'if-match': etag } }) => {
        if (etag === undefined) return undefined
        forms.push(etag.startsWith('"'))
        return etag.startsWith('"')
          ? { change: { 'if-match': etag.replaceAll('"', '') } }
          : { forward: false, status: 412 }
      }
      const store = stateStore(proxied)
      for (let version = 1; version <= 4; version++) expect(await store.write('a', version, bytes(version))).toBe(true)
      // A lost race does not make it try the other form again.
      const answers = await Promise.all([store.write('a', 5, bytes(5)), store.write('a', 5, bytes(6))])
      expect(answers.filter(Boolean)).toHaveLength(1)
      expect(forms.every(Boolean)).toBe(true)
    })

    it.each([
      ['the first version', 1, 0],
      ['the first form of the ETag', 2, 0],
      ['the second form of the ETag', 2, 1],
    ])('never turn a lost race into true: another writer is faster than %s', async (_, version, refusedBefore) => {
      const prefix = `${crypto.randomUUID()}/`
      const [fast, slow] = [stateStore(client, prefix), stateStore(proxied, prefix)]
      if (version === 2) await fast.write('a', 1, bytes(1))
      let sent = 0
      proxy.fault = async (asked) => {
        if (isWrite(asked) && sent++ === refusedBefore) expect(await fast.write('a', version, bytes(100))).toBe(true)
        return undefined
      }
      expect(await slow.write('a', version, bytes(200))).toBe(false)
      expect(sent).toBe(refusedBefore + 1)
      expect(await fast.read('a')).toEqual({ version, bytes: bytes(100) })
    })

    it('that the server refuses in both forms are an error, after two tries', async () => {
      const store = stateStore(proxied)
      await store.write('a', 1, bytes(1))
      let refused = 0
      proxy.fault = ({ headers }) => (headers['if-match'] ? (refused++, { status: 412, forward: false }) : undefined)
      await expect(store.write('a', 2, bytes(2))).rejects.toThrow('although its ETag is the one that was sent')
      expect(refused).toBe(2)
    })
  })

  describe('lost answers', () => {
    it('are settled: the write happened, its answer was lost, and the repetition is refused', async () => {
      const store = new CheckedStore(stateStore(proxied))
      for (let version = 1; version <= 4; version++) {
        let faults = 0
        proxy.fault = (asked) => (isWrite(asked) && faults++ === 0 ? { status: 503 } : undefined)
        // The first If-Match is refused in its quoted form, so nothing is lost there.
        expect(await writeSettled(store, 'a', version, bytes(version))).toBe('written')
        expect(faults).toBeGreaterThanOrEqual(2)
        expect(await store.read('a')).toEqual({ version, bytes: bytes(version) })
      }
    })

    it('are false or an exception without settling, though the version is there', async () => {
      const once = clientOf(proxy.endpoint, { maxAttempts: 1 })
      const prefix = `${crypto.randomUUID()}/`
      const store = stateStore(proxied, prefix)
      let faults = 0
      proxy.fault = (asked) => (isWrite(asked) && faults++ === 0 ? { status: 503 } : undefined)
      expect(await store.write('a', 1, bytes(1))).toBe(false)
      expect(await store.read('a')).toEqual({ version: 1, bytes: bytes(1) })
      faults = 0
      const other = stateStore(once, prefix)
      await expect(other.write('b', 1, bytes(1))).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } })
      expect(await store.read('b')).toEqual({ version: 1, bytes: bytes(1) })
      once.destroy()
    })

    it('of a request that never arrived do not make a version', async () => {
      const once = clientOf(proxy.endpoint, { maxAttempts: 1 })
      const store = stateStore(once)
      proxy.fault = (asked) => (isWrite(asked) ? { forward: false } : undefined)
      await expect(store.write('a', 1, bytes(1))).rejects.toThrow()
      proxy.fault = () => undefined
      expect(await store.read('a')).toBeUndefined()
      expect(await writeSettled(new CheckedStore(store), 'a', 1, bytes(2))).toBe('written')
      once.destroy()
    })

    it('again and again lose nothing, and apply nothing twice, when several write and drop', async () => {
      const [writers, count] = [3, process.env['SLOW'] === '1' ? 100 : 12]
      let faults = 0
      proxy.fault = ({ method }) => {
        const where = Math.random()
        if (where > 0.16) return undefined
        faults++
        if (where < 0.04) return { status: 503 }
        if (where < 0.08) return { forward: false }
        if (where < 0.12) return { cutAfter: 0 }
        return method === 'PUT' ? { forward: false, status: 409 } : { cutAfter: 10 }
      }
      const prefix = `${crypto.randomUUID()}/`
      const stores = Array.from({ length: writers }, () => stateStore(proxied, prefix))
      await Promise.all(stores.map((store, writer) => appendEntries(store, 'a', writer, count)))
      const newest = await stateStore(client, prefix).read('a')
      expect(entriesOf(newest!.bytes).sort()).toEqual(allEntries(writers, count))
      expect(newest?.version).toBe(writers * count)
      expect(faults).toBeGreaterThan(writers * count * 0.3)
    })

    it('that are cut in the middle of the body are errors and never shorter objects', async () => {
      const prefix = `${crypto.randomUUID()}/`
      const content = new Uint8Array(100_000).fill(5)
      await stateStore(client, prefix).write('a', 1, content)
      await blobStore(client, `${prefix}b/`).put('a', content)
      proxy.fault = ({ method }) => (method === 'GET' ? { cutAfter: 50_000 } : undefined)
      const store = stateStore(proxied, prefix)
      await expect(store.read('a')).rejects.toThrow()
      await expect(store.write('a', 2, bytes(2))).rejects.toThrow()
      await expect(blobStore(proxied, `${prefix}b/`).get('a')).rejects.toThrow()
      proxy.fault = () => undefined
      expect(await store.readVersion('a', 1)).toEqual(content)
    })
  })

  describe('a conflict (409)', () => {
    it('is offered again, and the answer is the one of the repetition', async () => {
      const store = stateStore(proxied)
      for (let version = 1; version <= 3; version++) {
        let conflicts = 0
        proxy.fault = (asked) => (isWrite(asked) && conflicts++ < 2 ? { forward: false, status: 409 } : undefined)
        expect(await store.write('a', version, bytes(version))).toBe(true)
      }
    })

    it('that never ends is thrown as the error of the SDK', async () => {
      let conflicts = 0
      proxy.fault = (asked) => (isWrite(asked) ? (conflicts++, { forward: false, status: 409 }) : undefined)
      await expect(blobStore(proxied).put('a', bytes(1))).rejects.toMatchObject({ $metadata: { httpStatusCode: 409 } })
      expect(conflicts).toBeLessThan(20)
    })
  })

  describe('what is no answer', () => {
    it('of a bucket that does not exist is never "there is none"', async () => {
      const options = { client, bucket: 'nowhere' }
      const [state, blobs] = [s3StateStore(options), s3BlobStore(options)]
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

    it('to wrong credentials is never "there is none"', async () => {
      const stranger = clientOf(gateway.endpoint, { credentials: { accessKeyId: 'tester', secretAccessKey: 'wrong' } })
      const [state, blobs] = [stateStore(stranger), blobStore(stranger)]
      for (const call of [() => state.read('a'), () => state.write('a', 1, bytes()), () => blobs.get('a')])
        await expect(call()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } })
      stranger.destroy()
    })

    it('because a proxy answers 404 is never "there is none"', async () => {
      proxy.fault = () => ({ forward: false, status: 404 })
      await expect(stateStore(proxied).read('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } })
      await expect(blobStore(proxied).get('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } })
    })
  })

  describe('mistakes of the program', () => {
    it.each([{ bucket: BUCKET }, { client: {}, bucket: BUCKET }, { client: { send: () => undefined } }])(
      'in the options are TypeErrors',
      (options) => {
        expect(() => s3StateStore(options as never)).toThrow(TypeError)
        expect(() => s3BlobStore(options as never)).toThrow(TypeError)
      },
    )

    it('in names and versions are found before anything is sent', async () => {
      await assertRefusesMistakes(stateStore(proxied), blobStore(proxied))
      expect(proxy.log).toEqual([])
    })
  })
})
