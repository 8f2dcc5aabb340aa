// What the adapters of stores read: answers and requests of HTTP, answers of S3, rows of PostgreSQL, files in a folder.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import { KeystrataError } from '../../src/index.ts'
import { concat, u64, utf8 } from '../../src/core/bytes.ts'
import { blocksIn, type BlobStore, memoryStateStore, type StateStore } from '../../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { httpStateStore, serveStateStore } from '../../src/stores/http.ts'
import { postgresStateStore } from '../../src/stores/postgres.ts'
import { s3BlobStore, s3StateStore } from '../../src/stores/s3.ts'
import { all, sample, streamOf } from '../fixtures.ts'
import type { Target } from './inputs.ts'
import { JunkError, Script, storeError, wrongValue } from './junk.ts'

/** An error of a store that is not a mistake: a plain Error with a text, never one that the engine made. */
const plainError = (error: unknown): string | undefined =>
  storeError(error) ?? (Object.getPrototypeOf(error) === Error.prototype ? 'the error of the store' : undefined)

/** Calls every method of a state store. An error of one does not keep the others from being called. */
async function useState(store: StateStore): Promise<void> {
  const list = async () => store.readVersions && all(store.readVersions('a', 1))
  await eachOf([
    () => store.read('a'),
    () => store.readVersion('a', 1),
    () => store.write('a', 1, sample(3)),
    () => store.write('a', 2, sample(3)),
    () => store.drop('a', 2),
    list,
  ])
}

const readsOf = (store: StateStore): Promise<unknown> =>
  eachOf([
    () => store.read('a'),
    () => store.readVersion('a', 1),
    async () => all(store.readVersions?.('a', 1) ?? none()),
  ])
const readsOfBlobs = (blobs: BlobStore): Promise<unknown> => eachOf([() => blobs.get('a'), () => all(blobs.list(''))])
const none = (): AsyncGenerator<never> => streamOf<never>([])

/** Calls every method of a store of blobs. */
async function useBlobs(blobs: BlobStore): Promise<void> {
  await eachOf([
    () => blobs.get('a'),
    () => blobs.put('a', sample(3)),
    () => blobs.replace('a', sample(3), sample(4)),
    () => blobs.delete('a'),
    () => all(blobs.list('a')),
    () => blocksIn(blobs).has('0'.repeat(64)),
  ])
}

/** Runs all, and throws the last error that was thrown. */
async function eachOf(calls: readonly (() => Promise<unknown>)[]): Promise<void> {
  let failed: { error: unknown } | undefined
  for (const call of calls) {
    try {
      await call()
    } catch (error) {
      if (plainError(error) === undefined && !(error instanceof KeystrataError) && !isOfS3(error)) throw error
      failed = { error }
    }
  }
  if (failed !== undefined) throw failed.error
}

/** A message of HTTP as text: a first line, headers, an empty line, and a body. */
interface Message {
  readonly first: string
  readonly headers: readonly [string, string][]
  readonly body: Uint8Array<ArrayBuffer>
}

function messageOf(bytes: Uint8Array): Message {
  const text = new TextDecoder('latin1').decode(bytes)
  const end = text.includes('\n\n') ? text.indexOf('\n\n') : text.length
  const [first = '', ...lines] = text.slice(0, end).split('\n')
  const headers = lines.flatMap((line): [string, string][] => {
    const at = line.indexOf(':')
    const name = line.slice(0, Math.max(at, 0))
    const value = line.slice(at + 1).trim()
    // fetch passes on no others.
    return /^[\w-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? [[name, value]] : []
  })
  return { first, headers, body: new Uint8Array(bytes.subarray(end + 2)) }
}

const message = (first: string, headers: readonly string[], body: Uint8Array | string = ''): Uint8Array =>
  concat(utf8(`${[first, ...headers].join('\n')}\n\n`), typeof body === 'string' ? utf8(body) : body)

/** Returns the status of a message. Others than these never come out of fetch. */
const statusIn = (first: string): number => Math.min(Math.max(Number(first) || 200, 200), 599)

function responseOf(bytes: Uint8Array): Response {
  const { first, headers, body } = messageOf(bytes)
  const status = statusIn(first)
  return new Response([204, 205, 304].includes(status) ? null : body, { status, headers: [...headers] })
}

const refusal = JSON.stringify(new KeystrataError('conflict', 'not so', { object: 'keyset', tries: 3 }))

/** Requests for a served store come from anyone. */
function requestOf(bytes: Uint8Array): Request | undefined {
  const { first, headers, body } = messageOf(bytes)
  const [method = '', path = ''] = first.split(' ')
  try {
    const hasBody = !['GET', 'HEAD'].includes(method)
    return new Request(new URL(path, 'https://example.org'), {
      method,
      headers: [...headers],
      ...(hasBody && { body }),
    })
  } catch {
    // No server makes such a request.
    return undefined
  }
}

class Refused extends Error {}

const isOfS3 = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && ('$metadata' in error || '$response' in error || '$fault' in error)

/** A client of S3 whose server gives one answer to everything. */
const s3Of = (bytes: Uint8Array): S3Client => {
  const { first, headers, body } = messageOf(bytes)
  const handle = async () => ({
    response: {
      statusCode: statusIn(first),
      headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
      body: Readable.from([Buffer.from(body)]),
    },
  })
  return new S3Client({
    ...{ region: 'x', endpoint: 'http://127.0.0.1:1', forcePathStyle: true, maxAttempts: 1 },
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    requestHandler: { handle } as never,
  })
}
const s3Object = concat(u64(2), u64(1), sample(5))
const listing = (contents: string, more = ''): string =>
  `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${more}${contents}</ListBucketResult>`
const listed = '<Contents><Key>a</Key><Size>5</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>'

/** An answer of a client whose server was replaced by a function, as tests of products do. */
function s3Answer(bytes: Uint8Array): { send(command: never): Promise<unknown> } {
  const script = new Script(bytes)
  return {
    send: async (command: object) => {
      const { kind, more } = script.next(command.constructor.name)
      const honest: Record<string, unknown> = {
        Body: { transformToByteArray: async () => s3Object },
        ContentLength: s3Object.length,
        ETag: '"x"',
        Contents: [{ Key: 'a', Size: 5, LastModified: new Date(0) }],
      }
      if (kind === 0) return honest
      if (kind === 1) throw Object.assign(new JunkError('of the server'), { $metadata: wrongValue(more) })
      const names = Object.keys(honest)
      return { ...honest, [names[kind % names.length]!]: wrongValue(more) }
    },
  }
}

/** The rows that a database client returns to each query, by a script. */
function postgresOf(bytes: Uint8Array): Parameters<typeof postgresStateStore>[0] {
  const script = new Script(bytes)
  return {
    query: async (text) => {
      const { kind, more } = script.next(text.slice(0, 40))
      const row: Record<string, unknown> = {
        ...{ version: '2', bytes: 'AAECAw==', written: '1', transaction: '7' },
        ...{ synchronous_commit: 'on', durable: 'yes', status: 'committed' },
      }
      if (kind === 0) return { rows: [row] }
      if (kind === 1) throw Object.assign(new JunkError('of the database'), { code: wrongValue(more) })
      if (kind === 2) return { rows: [] }
      if (kind === 3) return wrongValue(more) as never
      if (kind === 4) return { rows: wrongValue(more) } as never
      if (kind === 5) return { rows: [wrongValue(more)] }
      const names = Object.keys(row)
      const texts = [
        '',
        '-1',
        '1e400',
        '9'.repeat(30),
        '%%%',
        'AAEC=',
        '0x10',
        'in progress',
        'aborted',
        'no',
        '0',
        'off',
      ]
      const value = kind % 2 === 0 ? wrongValue(more) : texts[more % texts.length]
      return { rows: [{ ...row, [names[kind % names.length]!]: value }] }
    },
  }
}

const FILES = [
  'a/_1',
  'a/_2',
  'a/_floor',
  'a/_x',
  'a/_01',
  'a/_9007199254740993',
  '_1',
  'a/b/_1',
  '_tmp/x',
  'a/_999999',
]

/** A folder with files in it that this input describes: for each the index of its name, its length, and its content. */
async function inFolder(bytes: Uint8Array, use: (path: string) => Promise<unknown>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-fuzz-'))
  try {
    for (let at = 0; at + 1 < bytes.length && at < 2000; at += 2 + bytes[at + 1]!) {
      const path = join(folder, FILES[bytes[at]! % FILES.length]!)
      mkdirSync(join(path, '..'), { recursive: true })
      writeFileSync(path, bytes.subarray(at + 2, at + 2 + bytes[at + 1]!))
    }
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
const file = (name: (typeof FILES)[number], content: Uint8Array): Uint8Array =>
  concat(new Uint8Array([FILES.indexOf(name), content.length]), content)

/** What the file system itself says has a code, such as EISDIR. */
const fileError = (error: unknown): string | undefined =>
  typeof (error as { code?: unknown } | undefined)?.code === 'string' && 'syscall' in (error as object)
    ? 'the error of the file system'
    : plainError(error)

export const adapterTargets: readonly Target[] = [
  {
    name: 'http-answer',
    seeds: [
      message('200', ['ETag: "2"', 'Content-Length: 5'], sample(5)),
      message('204', []),
      message('200', ['ETag: W/"1"', 'Content-Encoding: gzip'], sample(5)),
    ],
    reads: [
      (bytes) => httpStateStore('https://example.org/state', { fetch: async () => responseOf(bytes) }).read('a'),
      (bytes) => useState(httpStateStore('https://example.org/state', { fetch: async () => responseOf(bytes) })),
    ],
    names: plainError,
    // Each call builds the answer anew.
    copies: 16,
  },
  {
    name: 'http-refusal',
    seeds: [utf8(refusal)],
    // The answer, its text, and the values in it.
    copies: 6,
    reads: [
      async (bytes) => {
        const answer = new Response(new Uint8Array(bytes), { status: 422 })
        const store = httpStateStore('https://example.org/state', { fetch: async () => answer })
        await store.read('a').catch((error: unknown) => {
          // What the server refuses with is what arrives.
          if (!(error instanceof KeystrataError) || error.code !== 'conflict') throw error
        })
      },
      (bytes) => {
        const error = KeystrataError.from(JSON.parse(refusalText(bytes)))
        if (error?.code !== 'conflict') throw new KeystrataError('malformed', 'another error', { object: 'error' })
      },
    ],
    names: plainError,
  },
  {
    name: 'http-request',
    seeds: [
      message('GET /state/_/keyset', []),
      message('GET /_/keyset?version=1', []),
      message('PUT /_/keyset', ['If-None-Match: *'], sample(20)),
      message('PUT /_/other', ['If-None-Match: *', 'Content-Length: 20'], sample(20)),
      message('DELETE /_/keyset?below=2', []),
    ],
    reads: [
      async (bytes) => {
        const request = requestOf(bytes)
        const status = request && (await serveStateStore(memoryStateStore(), request, { allowDrop: true })).status
        if (status === 500) throw new Error('the server failed on a request')
        if (status === undefined || status >= 300) throw new Refused(String(status))
      },
    ],
    names: (error) => (error instanceof Refused ? error.message : undefined),
  },
  {
    name: 's3-answer',
    seeds: [message('200', ['ETag: "x"', `Content-Length: ${s3Object.length}`], s3Object)],
    reads: [
      async (bytes) => {
        const store = s3StateStore({ client: s3Of(bytes), bucket: 'b' })
        await eachOf([() => store.read('a'), () => store.readVersion('a', 2), () => store.write('a', 4, sample(3))])
      },
      (bytes) => s3BlobStore({ client: s3Of(bytes), bucket: 'b' }).get('a'),
    ],
    names: (error) => plainError(error) ?? (isOfS3(error) ? 'the error of the SDK' : undefined),
    // Each call builds the answer anew, and so does the SDK.
    copies: 24,
    isImpatient: true,
  },
  {
    name: 's3-listing',
    seeds: [
      message('200', ['Content-Type: application/xml'], listing(listed)),
      message('200', ['Content-Type: application/xml'], listing('')),
    ],
    reads: [(bytes) => all(s3BlobStore({ client: s3Of(bytes), bucket: 'b' }).list('a'))],
    // The SDK makes a text of the answer, and a tree of that.
    copies: 12,
    names: (error) => plainError(error) ?? (isOfS3(error) ? 'the error of the SDK' : undefined),
    isImpatient: true,
  },
  {
    name: 's3-client',
    seeds: [new Uint8Array(24)],
    reads: [
      (bytes) => s3StateStore({ client: s3Answer(bytes), bucket: 'b' }).read('a'),
      (bytes) => useState(s3StateStore({ client: s3Answer(bytes), bucket: 'b' })),
      (bytes) => useBlobs(s3BlobStore({ client: s3Answer(bytes), bucket: 'b' })),
    ],
    names: (error) => plainError(error) ?? (isOfS3(error) ? 'the error of the SDK' : undefined),
    isImpatient: true,
  },
  {
    name: 'postgres-rows',
    seeds: [new Uint8Array(24)],
    reads: [
      (bytes) => useState(postgresStateStore(postgresOf(bytes))),
      (bytes) => postgresStateStore(postgresOf(bytes)).once('k', new Date(9e12)),
    ],
    names: plainError,
    isImpatient: true,
  },
  {
    name: 'folder',
    seeds: [
      concat(file('a/_1', sample(5)), file('a/_2', sample(6))),
      concat(file('a/_2', sample(5)), file('a/_floor', utf8('2'))),
      file('_1', sample(3)),
    ],
    reads: [
      (bytes) =>
        inFolder(bytes, async (path) => {
          await readsOfBlobs(folderBlobStore(path))
          await readsOf(folderStateStore(path))
        }),
    ],
    names: fileError,
  },
  {
    // Every write waits for the disk.
    name: 'folder-writes',
    isSlow: true,
    seeds: [file('a/_1', sample(5)), concat(file('a/_2', sample(5)), file('a/_floor', utf8('2')))],
    reads: [
      (bytes) =>
        inFolder(bytes, async (path) => {
          await useState(folderStateStore(path))
          await useBlobs(folderBlobStore(path))
        }),
    ],
    names: fileError,
    isImpatient: true,
  },
]

/** Returns JSON: `null` for bytes that are not JSON, because parsing them is not part of the adapter. */
function refusalText(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes)
  try {
    JSON.parse(text)
    return text
  } catch {
    return 'null'
  }
}
