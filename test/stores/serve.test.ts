// What a server answers, and what it refuses. How a client takes it is in http.test.ts.
import { request as rawRequest } from 'node:http'
import { beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../src/state/store.ts'
import { serveStateStore } from '../../src/stores/http.ts'
import { memoryStateStore } from '../../src/stores.ts'
import { startHttpServer } from './http-server.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

let behind: StateStore

beforeEach(() => {
  behind = memoryStateStore()
})

describe('serveStateStore', () => {
  const ask = (target: string, init: RequestInit = {}, options?: Parameters<typeof serveStateStore>[2]) =>
    serveStateStore(behind, new Request(`http://localhost${target}`, init), options)
  const put = (headers: Record<string, string>, body: string | Uint8Array = 'x', maxBytes?: number) =>
    ask('/_/a', { method: 'PUT', headers, body }, maxBytes === undefined ? {} : { maxBytes })
  const first = { 'If-None-Match': '*' }

  it('stores the whole body where a request has no `body`, as in Firefox', async () => {
    const inFirefox = (body: string, headers: Record<string, string> = {}) => {
      const request = new Request('http://localhost/_/a', { method: 'PUT', headers: { ...first, ...headers }, body })
      Object.defineProperty(request, 'body', { value: undefined })
      return serveStateStore(behind, request, { maxBytes: 5 })
    }
    expect((await inFirefox('longer')).status).toBe(413)
    expect((await inFirefox('whole', { 'Content-Length': '4' })).status).toBe(400)
    expect((await inFirefox('whole')).status).toBe(204)
    expect(Buffer.from((await behind.read('a'))!.bytes).toString()).toBe('whole')
  })

  it('answers as the specification says, and forbids caching', async () => {
    const options = { allowDrop: true }
    const answers = [
      await ask('/state/_/a'),
      await put(first),
      await put(first),
      await put({ 'If-Match': '"1"' }, 'yy'),
      await put({ 'If-Match': '"3"' }),
      await ask('/state/_/a'),
      await ask('/state/_/a?version=1'),
      await ask('/state/_/a?version=3'),
      await ask('/state/_/a?below=2', { method: 'DELETE' }),
      await ask('/state/_/a?below=2', { method: 'DELETE' }, options),
      await ask('/state/_/a?version=1'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 412, 204, 412, 200, 200, 204, 403, 204, 204])
    expect(answers.map(({ headers }) => headers.get('ETag'))).toEqual([
      null,
      '"1"',
      null,
      '"2"',
      null,
      '"2"',
      '"1"',
      null,
      null,
      null,
      null,
    ])
    expect(await answers[5]!.text()).toBe('yy')
    expect(answers[5]!.headers.get('Content-Length')).toBe('2')
    for (const { headers } of answers) expect(headers.get('Cache-Control')).toContain('no-store')
  })

  it.each([
    '/',
    '/_/',
    '/a',
    '/state/a',
    '/_/A',
    '/_/a_b',
    '/_/a/',
    '/_//a',
    '/_/a%2Fb',
    '/_/%61',
    '/_/a%00',
    '/_/..%2f..%2fetc',
    `/_/${'a'.repeat(201)}`,
  ])('refuses the path %s with 400', async (path) => {
    expect((await ask(path)).status).toBe(400)
    expect((await ask(path, { method: 'PUT', headers: first, body: 'x' })).status).toBe(400)
    expect((await ask(`${path}?below=2`, { method: 'DELETE' }, { allowDrop: true })).status).toBe(400)
  })

  it.each(['/state/_/../secret', '/state/_/a/../../..', '/state/_/%2e%2e/secret', '/state/_/..%2Fsecret'])(
    'refuses the path %s with 400, as a client sends it that does not clean it up',
    async (path) => {
      const server = await startHttpServer((request) => serveStateStore(behind, request))
      const status = await new Promise((resolve, reject) => {
        rawRequest({ port: server.port, path }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
          .once('error', reject)
          .end()
      })
      await server.stop()
      expect(status).toBe(400)
    },
  )

  it.each(['version=0', 'version=01', 'version=1.5', 'version=-1', 'version=', 'version=9007199254740992'])(
    'refuses the query %s with 400',
    async (query) => {
      expect((await ask(`/_/a?${query}`)).status).toBe(400)
      const below = query.replace('version', 'below')
      expect((await ask(`/_/a?${below}`, { method: 'DELETE' }, { allowDrop: true })).status).toBe(400)
    },
  )

  it('refuses queries that it does not know with 400', async () => {
    for (const query of ['below=1', 'version=1&version=2', 'version=1&x=1', 'x'])
      expect((await ask(`/_/a?${query}`)).status).toBe(400)
    expect((await ask('/_/a?version=1', { method: 'PUT', headers: first, body: 'x' })).status).toBe(400)
    expect((await ask('/_/a', { method: 'DELETE' }, { allowDrop: true })).status).toBe(400)
    expect((await ask('/_/a?version=1', { method: 'DELETE' }, { allowDrop: true })).status).toBe(400)
  })

  it.each<Record<string, string>>([
    {},
    { 'If-Match': '*' },
    { 'If-Match': '1' },
    { 'If-Match': '"0"' },
    { 'If-Match': 'W/"1"' },
    { 'If-Match': '"1", "2"' },
    { 'If-Match': '"9007199254740991"' },
    { 'If-None-Match': '"1"' },
    { 'If-Match': '"1"', 'If-None-Match': '*' },
  ])('refuses the condition %o with 400, and writes nothing', async (headers) => {
    await behind.write('a', 1, bytes(1))
    expect((await put(headers)).status).toBe(400)
    expect((await behind.read('a'))?.version).toBe(1)
  })

  it.each(['HEAD', 'POST', 'PATCH', 'OPTIONS'])('refuses the method %s with 405', async (method) => {
    const response = await ask('/_/a', { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('Allow')).toBe('GET, PUT')
    const dropping = await ask('/_/a', { method }, { allowDrop: true })
    expect(dropping.headers.get('Allow')).toBe('GET, PUT, DELETE')
  })

  it('refuses a body above the limit with 413, and takes one of just the limit', async () => {
    expect((await put(first, new Uint8Array(11), 10)).status).toBe(413)
    expect((await put({ ...first, 'Content-Length': '1' }, new Uint8Array(11), 10)).status).toBe(413)
    expect(await behind.read('a')).toBeUndefined()
    expect((await put(first, new Uint8Array(10), 10)).status).toBe(204)
    expect((await put({ 'If-Match': '"1"' }, new Uint8Array(0), 0)).status).toBe(204)
  })

  it('has a limit of 16 MiB unless told otherwise', async () => {
    const limit = 16 * 1024 * 1024
    expect((await put(first, new Uint8Array(limit + 1))).status).toBe(413)
    expect((await put(first, new Uint8Array(limit))).status).toBe(204)
    expect((await put({ 'If-Match': '"1"' }, new Uint8Array(limit + 1), 2 * limit)).status).toBe(204)
  })

  it('stops reading a body at the limit, however long it is', async () => {
    let sent = 0
    const body: ReadableStream<Uint8Array> = new ReadableStream({
      pull: (controller) => {
        sent += 1000
        controller.enqueue(new Uint8Array(1000))
      },
    })
    const response = await ask(
      '/_/a',
      { method: 'PUT', headers: first, body, duplex: 'half' },
      {
        maxBytes: 10_000,
      },
    )
    expect(response.status).toBe(413)
    expect(sent).toBeLessThan(20_000)
  })

  it('refuses a body that is shorter than announced with 400, and writes nothing', async () => {
    expect((await put({ ...first, 'Content-Length': '5' }, 'x')).status).toBe(400)
    expect(await behind.read('a')).toBeUndefined()
  })

  it.each([-1, 1.5, Number.NaN, Infinity])('refuses maxBytes of %d', async (maxBytes) => {
    await expect(put(first, 'x', maxBytes)).rejects.toThrow(RangeError)
  })

  it('refuses what is no store', async () => {
    await expect(serveStateStore({} as StateStore, new Request('http://localhost/_/a'))).rejects.toThrow(TypeError)
  })
})
