// The client of a store over HTTP, in front of a real server of node:http, and behind a proxy that cuts connections.
// What the server answers is in serve.test.ts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { KeystrataError } from '../../src/core/errors.ts'
import { CheckedStore } from '../../src/state/checked.ts'
import { writeSettled } from '../../src/state/settle.ts'
import type { StateStore } from '../../src/state/store.ts'
import { stateStoreLaws } from '../../src/stores/contract.ts'
import { httpStateStore, serveStateStore } from '../../src/stores/http.ts'
import { checkStore, memoryStateStore, prefixed } from '../../src/stores.ts'
import { allEntries, appendEntries, entriesOf } from './append-entries.ts'
import { type Cut, type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts'
import { type HttpServer, startHttpServer } from './http-server.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** The answer of a server, for tests that need no network. */
const answering =
  (answer: () => Response | Promise<Response>): typeof fetch =>
  async () =>
    answer()

let server: HttpServer
let proxy: CuttingProxy
/** What the server does. Each test gets a store of its own. */
let handle: (request: Request) => Promise<Response>
let behind: StateStore

beforeAll(async () => {
  server = await startHttpServer((request) => handle(request))
  proxy = await startCuttingProxy(server.port)
})

afterAll(async () => {
  await proxy.stop()
  await server.stop()
})

beforeEach(() => {
  behind = memoryStateStore()
  handle = (request) => serveStateStore(behind, request, { allowDrop: true })
})

afterEach(() => {
  proxy.next = () => undefined
  proxy.cuts = 0
})

const direct = (): StateStore => httpStateStore(`http://127.0.0.1:${server.port}/state`)
const throughProxy = (): StateStore => httpStateStore(`http://127.0.0.1:${proxy.port}/state`)

describe('a store over HTTP', () => {
  it.each(stateStoreLaws(direct))('keeps the law: $name', ({ check }) => check())

  it('passes checkStore, at every start', async () => {
    for (let start = 0; start < 3; start++) await checkStore(direct())
    await Promise.all([checkStore(direct()), checkStore(direct())])
  })

  it.each(['', '/', '/state', '/state/', '/a/_/b'])('can lie under the path "%s"', async (path) => {
    const store = httpStateStore(`http://127.0.0.1:${server.port}${path}`)
    expect(await store.write('log/a-b', 1, bytes(1))).toBe(true)
    expect(await store.read('log/a-b')).toEqual({ version: 1, bytes: bytes(1) })
    expect(await behind.read('log/a-b')).toEqual({ version: 1, bytes: bytes(1) })
  })

  it('sends the requests of the specification', async () => {
    const seen: unknown[][] = []
    const store = httpStateStore('https://example.org/state/', {
      fetch: async (url, init) => {
        const { method, headers, cache, redirect } = init as RequestInit & { cache: string }
        seen.push([method, url, headers, cache, redirect])
        return new Response(null, { status: 204 })
      },
    })
    await store.read('a/b')
    await store.readVersion('a/b', 7)
    await store.write('a', 1, bytes())
    await store.write('a', 2, bytes())
    await store.drop('a', 2)
    const type = { 'Content-Type': 'application/octet-stream' }
    const base = 'https://example.org/state/_'
    expect(seen).toEqual([
      ['GET', `${base}/a/b`, undefined, 'no-store', 'manual'],
      ['GET', `${base}/a/b?version=7`, undefined, 'no-store', 'manual'],
      ['PUT', `${base}/a`, { ...type, 'If-None-Match': '*' }, 'no-store', 'manual'],
      ['PUT', `${base}/a`, { ...type, 'If-Match': '"1"' }, 'no-store', 'manual'],
      ['DELETE', `${base}/a?below=2`, undefined, 'no-store', 'manual'],
    ])
  })

  it('takes a path, which browsers resolve', async () => {
    const fetched = vi.fn<typeof fetch>(async () => new Response(null, { status: 204 }))
    await httpStateStore('/state', { fetch: fetched }).read('a')
    expect(fetched.mock.calls[0]?.[0]).toBe('/state/_/a')
  })

  it.skipIf('location' in globalThis)('takes no path where nothing resolves it', () => {
    expect(() => httpStateStore('/state')).toThrow('absolute')
  })

  it.each([
    ['7', 7],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
  ])('says when a busy server wants to be asked again: %s', async (header, seconds) => {
    const answer = async () => new Response(null, { status: 429, headers: { 'Retry-After': header } })
    const error: unknown = await httpStateStore('https://example.org/state', { fetch: answer })
      .read('a')
      .catch((each: unknown) => each)
    expect(error).toMatchObject({ status: 429 })
    const found = (error as { retryAfter?: number }).retryAfter
    if (seconds === undefined) expect(error).not.toHaveProperty('retryAfter')
    else expect(found).toBe(seconds)
  })

  it('counts the seconds to a date that a busy server names', async () => {
    const when = new Date(Date.now() + 3_600_000).toUTCString()
    const answer = async () => new Response(null, { status: 503, headers: { 'Retry-After': when } })
    const store = httpStateStore('https://example.org/state', { fetch: answer })
    const { retryAfter } = (await store.read('a').catch((error: unknown) => error)) as { retryAfter: number }
    expect(retryAfter).toBeGreaterThan(3000)
    expect(retryAfter).toBeLessThanOrEqual(3600)
  })

  it.each([400, 401, 403, 404, 405, 413])('does not repeat a write that was refused with %i', async (status) => {
    const fetched = vi.fn<typeof fetch>(async () => new Response(null, { status }))
    const store = new CheckedStore(httpStateStore('/state', { fetch: fetched }))
    const error: unknown = await writeSettled(store, 'a', 1, new Uint8Array(1)).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain(`the server answered ${status}`)
    expect(String(error)).not.toContain('may have been written')
    expect(error).toHaveProperty('status', status)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('calls fetch detached from any object, as browsers demand', async () => {
    const fetched = vi.fn(async function (this: unknown) {
      return this === undefined ? new Response(null, { status: 204 }) : new Response(null, { status: 500 })
    })
    expect(await httpStateStore('/state', { fetch: fetched }).read('a')).toBeUndefined()
    vi.stubGlobal('fetch', fetched)
    try {
      expect(await httpStateStore('https://backup.example/state').read('a')).toBeUndefined()
    } finally {
      vi.unstubAllGlobals()
    }
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('takes the weak ETag that a compressing proxy makes', async () => {
    const answer = () => new Response(bytes(1), { headers: { ETag: 'W/"12"' } })
    const store = httpStateStore('/state', { fetch: answering(answer) })
    expect(await store.read('a')).toEqual({ version: 12, bytes: bytes(1) })
  })

  it('lets nobody drop unless the server allows it, and drop does nothing then', async () => {
    handle = (request) => serveStateStore(behind, request)
    const store = direct()
    for (let version = 1; version <= 3; version++) await store.write('a', version, bytes(version))
    await store.drop('a', 3)
    expect(await behind.readVersion('a', 1)).toEqual(bytes(1))
  })

  it('gives each user a part of its own', async () => {
    handle = (request) =>
      serveStateStore(prefixed(behind, `user-${request.headers.get('authorization') ?? ''}/`), request)
    const of = (user: string) =>
      httpStateStore(`http://127.0.0.1:${server.port}/`, {
        fetch: (url, init) => {
          const headers = new Headers(init?.headers)
          headers.set('Authorization', user)
          return fetch(url, { ...init, headers })
        },
      })
    await of('1').write('a', 1, bytes(1))
    expect(await of('2').read('a')).toBeUndefined()
    expect(await behind.read('user-1/a')).toEqual({ version: 1, bytes: bytes(1) })
  })
})

describe('a connection that is cut', () => {
  const content = new Uint8Array(100_000).fill(7)
  const once = (cut: Cut) => {
    let left = 1
    proxy.next = () => (left-- > 0 ? cut : undefined)
  }
  // Bun and Deno repeat a request by themselves if its connection is cut.
  const always = (cut: Cut) => {
    proxy.next = () => cut
  }

  it.each([0, 100, 50_000])('after %i bytes of a request writes nothing, and the next try does', async (request) => {
    always({ request })
    await expect(throughProxy().write('a', 1, content)).rejects.toThrow('PUT of a got no answer')
    expect(proxy.cuts).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await behind.read('a')).toBeUndefined()
    once({ request })
    expect(await writeSettled(new CheckedStore(throughProxy()), 'a', 1, content)).toBe('written')
    expect(await behind.read('a')).toEqual({ version: 1, bytes: content })
  })

  it.each([0, 10])('after %i bytes of the answer to a write has written, and settling finds out', async (answer) => {
    always({ answer })
    const failed = throughProxy().write('a', 1, content)
    await expect(failed).rejects.toThrow(Error)
    await expect(failed).rejects.not.toThrow(TypeError)
    await expect(failed).rejects.toHaveProperty('cause')
    expect(await behind.read('a')).toEqual({ version: 1, bytes: content })
    once({ answer })
    const before = proxy.cuts
    expect(await writeSettled(new CheckedStore(throughProxy()), 'a', 2, bytes(2))).toBe('written')
    expect(proxy.cuts).toBe(before + 1)
    expect(await behind.read('a')).toEqual({ version: 2, bytes: bytes(2) })
  })

  it('is settled as taken if another writer was faster', async () => {
    await behind.write('a', 1, bytes(1))
    once({ answer: 0 })
    expect(await writeSettled(new CheckedStore(throughProxy()), 'a', 1, bytes(2))).toBe('taken')
    expect(proxy.cuts).toBe(1)
  })

  it.each([0, 10, 300, 50_000, 100_000])('after %i bytes of an object is an error', async (answer) => {
    await behind.write('a', 1, content)
    for (const read of [(store: StateStore) => store.read('a'), (store: StateStore) => store.readVersion('a', 1)]) {
      always({ answer })
      const failed = read(throughProxy())
      await expect(failed).rejects.toThrow(/got no answer|was cut/)
      await expect(failed).rejects.not.toThrow(TypeError)
    }
    expect(proxy.cuts).toBeGreaterThan(1)
  })

  it('in the middle of a body without a length is an error', async () => {
    handle = async () => {
      let chunks = 3
      const body: ReadableStream<Uint8Array> = new ReadableStream({
        pull: (controller) => {
          if (chunks-- === 0) controller.error(new Error('cut'))
          else controller.enqueue(bytes(1, 2, 3))
        },
      })
      return new Response(body, { headers: { ETag: '"1"' } })
    }
    await expect(direct().read('a')).rejects.toThrow(/got no answer|was cut/)
  })

  it('of which a proxy hides the end is noticed by the length', async () => {
    const headers = { ETag: '"1"', 'Content-Length': '5' }
    const store = httpStateStore('/state', { fetch: answering(() => new Response(bytes(1, 2, 3), { headers })) })
    await expect(store.read('a')).rejects.toThrow('it has 3 of 5 bytes')
  })

  it('has another length than its content when it is compressed', async () => {
    const headers = { ETag: 'W/"1"', 'Content-Length': '23', 'Content-Encoding': 'gzip' }
    const store = httpStateStore('/state', { fetch: answering(() => new Response(bytes(1, 2, 3), { headers })) })
    expect((await store.read('a'))?.bytes).toEqual(bytes(1, 2, 3))
  })

  it('again and again loses nothing and applies nothing twice', async () => {
    const [writers, count] = [3, 25]
    proxy.next = () => {
      const where = Math.random()
      if (where < 0.1) return { request: Math.floor(200 * Math.random()) }
      if (where < 0.2) return { answer: 0 }
      return where < 0.3 ? { answer: Math.floor(300 * Math.random()) } : undefined
    }
    await Promise.all(Array.from({ length: writers }, (_, writer) => appendEntries(throughProxy(), 'a', writer, count)))
    const newest = await behind.read('a')
    expect(entriesOf(newest!.bytes).sort()).toEqual(allEntries(writers, count))
    expect(newest?.version).toBe(writers * count)
    expect(proxy.cuts).toBeGreaterThan(20)
  })
})

describe('what is no answer', () => {
  const calls: readonly (readonly [string, (store: StateStore) => Promise<unknown>])[] = [
    ['read', (store) => store.read('a')],
    ['readVersion', (store) => store.readVersion('a', 1)],
    ['write', (store) => store.write('a', 1, bytes(1))],
    ['drop', (store) => store.drop('a', 2)],
  ]

  it.each(calls)('is an Error with its cause: %s without a server', async (_, call) => {
    const gone = await startHttpServer(async () => new Response())
    await gone.stop()
    const failed = call(httpStateStore(`http://127.0.0.1:${gone.port}`))
    await expect(failed).rejects.toThrow('got no answer')
    await expect(failed).rejects.not.toThrow(TypeError)
    await expect(failed).rejects.toMatchObject({ cause: expect.any(TypeError) as unknown })
  })

  it.each(calls)('is an Error: %s at a URL that is no store', async (_, call) => {
    handle = async () => new Response('not found', { status: 404 })
    await expect(call(direct())).rejects.toThrow('the server answered 404, so this is not the URL of a store')
  })

  it.each(calls)('is an Error: %s behind a login page', async (_, call) => {
    handle = async () => new Response('<html>log in</html>', { headers: { 'Content-Type': 'text/html' } })
    await expect(call(direct())).rejects.toThrow(/no valid ETag|the server answered 200/)
  })

  it.each(calls)('is an Error: %s that is redirected', async (_, call) => {
    const followed = vi.fn()
    const elsewhere = await startHttpServer(async () => {
      followed()
      return new Response(null, { status: 204 })
    })
    for (const status of [301, 302, 303, 307, 308]) {
      handle = async () =>
        new Response(null, { status, headers: { Location: `http://127.0.0.1:${elsewhere.port}/_/a` } })
      await expect(call(direct())).rejects.toThrow(`the server answered ${status}`)
    }
    expect(followed).not.toHaveBeenCalled()
    await elsewhere.stop()
  })

  it.each([200, 201, 202, 205, 400, 401, 403, 409, 413, 428, 429, 500, 502, 503])(
    'is an Error: status %i for a write',
    async (status) => {
      handle = async () => new Response(null, { status })
      await expect(direct().write('a', 1, bytes(1))).rejects.toThrow(`the server answered ${status}`)
      await expect(direct().write('a', 1, bytes(1))).rejects.toHaveProperty('status', status)
    },
  )

  it.each([undefined, '', '"0"', '"-1"', '"1.5"', '"01"', '1', '"a"', '"9007199254740992"', '"1", "2"', 'w/"1"'])(
    'is an Error: the ETag %s',
    async (etag) => {
      const headers: Record<string, string> = etag === undefined ? {} : { ETag: etag }
      const store = httpStateStore('/state', { fetch: answering(() => new Response(bytes(1), { headers })) })
      await expect(store.read('a')).rejects.toThrow('no valid ETag')
      await expect(store.readVersion('a', 1)).rejects.toThrow('no valid ETag')
    },
  )

  it('is an Error: another version than the one that was asked for, from a server that ignores the query', async () => {
    const answer = () => new Response(bytes(1), { headers: { ETag: '"8"' } })
    const store = httpStateStore('/state', { fetch: answering(answer) })
    await expect(store.readVersion('a', 7)).rejects.toThrow('version 8 of a, not 7')
  })
})

describe('errors of the store behind the server', () => {
  const failing = (error: Error): StateStore => ({
    read: () => Promise.reject(error),
    readVersion: () => Promise.reject(error),
    write: () => Promise.reject(error),
    drop: () => Promise.reject(error),
  })
  const callsOf = (store: StateStore): readonly (() => Promise<unknown>)[] => [
    () => store.read('a'),
    () => store.readVersion('a', 1),
    () => store.write('a', 1, bytes()),
    () => store.drop('a', 2),
  ]

  it('arrive as such if they are of keystrata', async () => {
    behind = failing(new KeystrataError('policy', 'this session must not write here', { name: 'keyset', limit: 3 }))
    for (const call of callsOf(direct())) {
      const error = await call().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(KeystrataError)
      expect(error).toMatchObject({
        code: 'policy',
        message: 'this session must not write here',
        detail: { name: 'keyset', limit: 3 },
      })
    }
  })

  it('end settling at once if they are of keystrata', async () => {
    let requests = 0
    behind = failing(new KeystrataError('policy'))
    handle = (request) => {
      requests++
      return serveStateStore(behind, request)
    }
    await expect(writeSettled(new CheckedStore(direct()), 'a', 1, bytes())).rejects.toMatchObject({ code: 'policy' })
    expect(requests).toBe(1)
  })

  it('are status 500 without details otherwise, and onError gets them', async () => {
    const secret = new Error('password of the database: hunter2')
    behind = failing(secret)
    const onError = vi.fn()
    const bodies: string[] = []
    handle = async (request) => {
      const response = await serveStateStore(behind, request, { allowDrop: true, onError })
      bodies.push(await response.clone().text())
      return response
    }
    for (const call of callsOf(direct())) await expect(call()).rejects.toThrow('the server answered 500')
    expect(bodies).toEqual(Array(4).fill('the store failed'))
    expect(onError.mock.calls).toEqual(Array(4).fill([secret]))
  })

  it('are status 500 if the store gives an invalid answer', async () => {
    const onError = vi.fn()
    behind = { ...memoryStateStore(), write: async () => ({ rowCount: 0 }) as unknown as boolean }
    handle = (request) => serveStateStore(behind, request, { onError })
    await expect(direct().write('a', 1, bytes())).rejects.toThrow('the server answered 500')
    expect(onError).toHaveBeenCalledWith(expect.any(TypeError))
  })

  it('that a stranger invents are plain errors', async () => {
    for (const body of ['', '{', '{"name":"KeystrataError","code":"owned","message":"","detail":{}}', 'null']) {
      handle = async () => new Response(body, { status: 422 })
      await expect(direct().read('a')).rejects.toThrow('the server answered 422')
    }
  })
})

describe('mistakes of the program', () => {
  it.each([
    'state',
    './state',
    '',
    '//example.org/state',
    '/\\example.org',
    'ftp://example.org/state',
    'file:///state',
    'https://example.org/state?token=1',
    'https://example.org/state?',
    'https://example.org/state#x',
    '/state?x',
    'https://user:hunter2@example.org/state',
    'https://',
    undefined,
    new URL('https://example.org'),
  ])('refuses the URL %s, and does not repeat it', (url) => {
    expect(() => httpStateStore(url as string)).toThrow(TypeError)
    expect(() => httpStateStore(url as string)).not.toThrow('hunter2')
  })

  it('refuses a fetch that is not a function', () => {
    expect(() => httpStateStore('/state', { fetch: {} as typeof fetch })).toThrow(TypeError)
  })

  it('in names and versions are found before anything is sent', async () => {
    const fetched = vi.fn<typeof fetch>()
    const store = httpStateStore('/state', { fetch: fetched })
    for (const name of ['', '../a', 'A', 'a/', 'a?b', 'a#b'])
      for (const call of [
        () => store.read(name),
        () => store.readVersion(name, 1),
        () => store.write(name, 1, bytes()),
        () => store.drop(name, 2),
      ])
        await expect(call()).rejects.toThrow(TypeError)
    for (const call of [
      () => store.readVersion('a', 0),
      () => store.write('a', 1.5, bytes()),
      () => store.drop('a', Number.NaN),
    ])
      await expect(call()).rejects.toThrow(RangeError)
    await store.drop('a', 1)
    expect(fetched).not.toHaveBeenCalled()
  })
})
