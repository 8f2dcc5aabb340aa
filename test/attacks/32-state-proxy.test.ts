// Row 32. Somebody stands between a client and its state store over HTTP, and can read and change every request and
// answer, or the server behind it lies. They want a change to be undone, made twice or made over something else, and
// another object or an old one to be taken for the newest.
import { describe, expect, it } from 'vitest'
import { changeKeyset, type Keyset, loadKeyset, openLog, saveKeyset } from '../../src/index.ts'
import { listSlots } from '../../src/recovery.ts'
import { httpStateStore, serveStateStore } from '../../src/stores/http.ts'
import { memoryStateStore, type StateStore } from '../../src/stores.ts'
import { all, failure, hex, PASSWORD, quickly, sample } from '../fixtures.ts'
import { withoutPauses } from '../pauses.ts'
import { quickKeyset } from './known.ts'

withoutPauses()

type Forward = () => Promise<Response>

/** A store over HTTP. `meddle` answers each request, and may forward it to the server. */
function meddled(behind: StateStore = memoryStateStore()) {
  const recorded: Request[] = []
  const proxy = {
    behind,
    recorded,
    meddle: (_: Request, forward: Forward): Promise<Response> => forward(),
    /** Sends a request again that a client has sent before. */
    repeat: (request: Request) => serveStateStore(behind, request.clone(), { allowDrop: true }),
  }
  const store = httpStateStore('https://example.org/state', {
    fetch: async (input, init) => {
      const request = new Request(input, init)
      recorded.push(request.clone())
      return await proxy.meddle(request, () => serveStateStore(behind, request, { allowDrop: true }))
    },
  })
  return { proxy, store }
}

const first = await quickKeyset()
const other = await quickKeyset()
const second = first.regenerate()
const load = (store: StateStore, keyset: Keyset) =>
  quickly(() => loadKeyset(store, PASSWORD, { atLeast: keyset.revision }))

const copyOf = async (response: Response) => ({
  bytes: new Uint8Array(await response.clone().arrayBuffer()),
  status: response.status,
  headers: new Headers(response.headers),
})
const answerFrom = ({ bytes, status, headers }: Awaited<ReturnType<typeof copyOf>>) =>
  new Response(bytes.length === 0 ? null : bytes, { status, headers })

describe('somebody between a client and its state store wants an old or another object to be taken for the newest', () => {
  it('replays old answers: whoever knows a newer revision or position notices', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    const log = openLog(store, 'log', first)
    await log.append(sample(1))
    const kept: Map<string, Awaited<ReturnType<typeof copyOf>>> = new Map()
    proxy.meddle = async (request, forward) => {
      const answer = await forward()
      if (request.method === 'GET') kept.set(request.url, await copyOf(answer))
      return answer
    }
    await load(store, first)
    await openLog(store, 'log', first).last()
    proxy.meddle = (_, forward) => forward()
    await saveKeyset(store, second)
    const position = await openLog(store, 'log', first).append(sample(2))
    proxy.meddle = async (request, forward) => {
      const old = kept.get(request.url)
      return old === undefined ? forward() : answerFrom(old)
    }
    await failure(() => load(store, second), 'rollback')
    await failure(() => openLog(store, 'log', first).last({ atLeast: position }), 'rollback')
    // Without a floor the old answer is taken: so keep one.
    expect((await load(store, first)).revision).toBe(first.revision)
    // A change that is made behind an old answer is written behind the newest version, or not at all.
    const third = await quickly(() =>
      changeKeyset(store, second, (newest) => newest.regenerate()).catch((error: unknown) => error as Error),
    )
    expect(third).toMatchObject({ code: 'rollback' })
    expect((await proxy.behind.read('keyset'))!.version).toBe(2)
  })

  it('answers with another object, or another version', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    const theirs = memoryStateStore()
    await saveKeyset(theirs, other)
    // A keyset of its own, with the password that it knows.
    proxy.meddle = (request, forward) => (request.method === 'GET' ? serveStateStore(theirs, request) : forward())
    await failure(() => load(store, first), 'forked')
    await failure(() => saveKeyset(store, second), 'forked')
    // An object under the name of another one.
    proxy.meddle = (request) => serveStateStore(proxy.behind, new Request(request.url.replace('slots', 'keyset')))
    await failure(() => listSlots(store), 'unsupported', 'malformed')
    // Another version than the one that was asked for.
    await saveKeyset(proxy.behind, second)
    proxy.meddle = (request) =>
      serveStateStore(proxy.behind, new Request(request.url.replace('version=1', 'version=2')))
    await expect(store.readVersion('keyset', 1)).rejects.toThrow('version 2 of keyset, not 1')
  })

  it('cuts answers, and answers with pages of its own', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    for (const length of [0, 10, 100, 1000]) {
      proxy.meddle = async (_, forward) => {
        const { bytes, headers, status } = await copyOf(await forward())
        headers.delete('content-length')
        return answerFrom({ bytes: bytes.slice(0, length), headers, status })
      }
      await failure(() => load(store, first), 'malformed')
    }
    const pages = [
      () => new Response('<html>Please log in</html>', { headers: { 'Content-Type': 'text/html' } }),
      () => new Response('<html>Please log in</html>', { headers: { ETag: '"abc"' } }),
      () => new Response(null, { status: 302, headers: { Location: 'https://example.org/login' } }),
      () => new Response('busy', { status: 503 }),
    ]
    for (const page of pages) {
      proxy.meddle = async () => page()
      await expect(load(store, first)).rejects.toThrow()
      await expect(saveKeyset(store, second)).rejects.toThrow()
    }
    expect((await proxy.behind.read('keyset'))!.version).toBe(1)
    // A missing object is no missing keyset to whoever knows its revision.
    proxy.meddle = async () => new Response(null, { status: 404 })
    await expect(load(store, first)).rejects.toThrow()
  })
})

describe('somebody between a client and its state store wants a change to be undone, or made twice', () => {
  it('sends requests again: an old write changes nothing, and an append is made once', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    await saveKeyset(store, second)
    const log = openLog(store, 'log', second)
    const positions = [await log.append(sample(1)), await log.append(sample(2))]
    const writes = proxy.recorded.filter(({ method }) => method === 'PUT')
    expect(writes).toHaveLength(4)
    for (const write of [...writes, ...writes.toReversed()]) expect((await proxy.repeat(write)).status).toBe(412)
    expect((await load(store, second)).revision).toBe(second.revision)
    const read = await all(openLog(store, 'log', second).read())
    expect(read.map(({ position }) => position)).toEqual(positions)
  })

  it('says that a write was refused that was made: it is not made again', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    proxy.meddle = async (request, forward) => {
      const answer = await forward()
      return request.method === 'PUT' ? new Response(null, { status: 412 }) : answer
    }
    await saveKeyset(store, second)
    expect((await proxy.behind.read('keyset'))!.version).toBe(2)
    const position = await openLog(store, 'log', second).append(sample(1))
    const read = await all(openLog(store, 'log', second).read())
    expect(read.map((each) => each.position)).toEqual([position])
  })

  it('says that a write was made that it threw away: only a floor shows that', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    const before = await openLog(store, 'log', first).append(sample(1))
    proxy.meddle = async (request, forward) =>
      request.method === 'PUT' ? new Response(null, { status: 204, headers: { ETag: '"2"' } }) : forward()
    await saveKeyset(store, second)
    const position = await openLog(store, 'log', first).append(sample(2))
    await failure(() => load(store, second), 'rollback')
    await failure(() => openLog(store, 'log', first).last({ atLeast: position }), 'rollback')
    expect((await openLog(store, 'log', first).last({ atLeast: before }))!.position).toBe(before)
  })

  it('replaces what is written: a keyset or record of its own is not taken for that of the owner', async () => {
    const { proxy, store } = meddled()
    proxy.meddle = (request, forward) => {
      if (request.method !== 'PUT') return forward()
      const { url, headers } = request
      return serveStateStore(
        proxy.behind,
        new Request(url, {
          method: 'PUT',
          headers,
          body: url.endsWith('keyset') ? other.export('storage') : sample(900),
        }),
      )
    }
    await saveKeyset(store, first)
    await failure(() => load(store, first), 'forked')
    const position = await openLog(store, 'log', first).append(sample(1))
    expect(position).toMatch(/^1-/)
    await failure(() => all(openLog(store, 'log', first).read()), 'malformed')
    await failure(() => openLog(store, 'log', first).last({ atLeast: position }), 'malformed', 'rollback')
  })

  it('sees what the store sees: sealed objects, and no content', async () => {
    const { proxy, store } = meddled()
    await saveKeyset(store, first)
    const secret = sample(64, 7)
    await openLog(store, 'log', first).append(secret)
    let bytes = 0
    for (const request of proxy.recorded) {
      const body = hex(new Uint8Array(await request.arrayBuffer()))
      bytes += body.length / 2
      expect(body).not.toContain(hex(secret.subarray(0, 8)))
      expect(Buffer.from(body, 'hex').includes(PASSWORD)).toBe(false)
      expect(request.url).not.toContain(PASSWORD)
    }
    expect(bytes).toBeGreaterThan(4000)
  })
})
