// A bucket in memory behind the real SDK: it answers HTTP requests as S3 does. So the stores in a bucket can be tested
// without a server, at every answer that one may give.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'

/** A request as the SDK sends it. */
export interface BucketRequest {
  readonly method: string
  /** The key of the object. Empty for a list. */
  readonly key: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

/** An answer in place of the one of the bucket. */
export interface BucketAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** The request of the SDK. */
interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** Returns the body of an error of S3. */
export const errorBody = (code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`

const refusal = (status: number, code: string): BucketAnswer => ({ status, body: errorBody(code) })

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex')

export class MemoryBucket {
  readonly name = 'memory'
  readonly objects: Map<string, Uint8Array> = new Map()
  /** When all objects were modified, as lists say. */
  readonly modified: Date = new Date()
  readonly requests: BucketRequest[] = []
  /** How many objects a list has at once. */
  pageSize = 1000
  /** Whether If-Match must come without quotation marks, as radosgw 16 of Ceph wants it. */
  wantsBareTags = false
  /** Returns a {@link BucketAnswer} in place of the bucket's, or undefined. It may change the bucket first. */
  fault: (asked: BucketRequest) => unknown = () => undefined
  /** Changes an answer of the bucket. */
  change: (asked: BucketRequest, answer: BucketAnswer) => BucketAnswer = (_, answer) => answer

  client(): S3Client {
    const requestHandler = {
      handle: async (request: HttpRequest) => {
        const { status, headers = {}, body = '' } = await this.#answer(request)
        return { response: { statusCode: status, headers: { ...headers }, body: Readable.from([Buffer.from(body)]) } }
      },
    }
    return new S3Client({
      ...{ region: 'us-east-1', endpoint: 'http://bucket.invalid', forcePathStyle: true, maxAttempts: 1 },
      credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
      requestHandler: requestHandler as never,
    })
  }

  async #answer({ method, path, query = {}, headers, body = new Uint8Array() }: HttpRequest): Promise<BucketAnswer> {
    const [, bucket = '', ...rest] = path.split('/').map(decodeURIComponent)
    const asked: BucketRequest = { method, key: rest.join('/'), query, headers }
    this.requests.push(asked)
    const answer = (await this.fault(asked)) as BucketAnswer | undefined
    if (answer !== undefined) return answer
    if (bucket !== this.name) return refusal(404, 'NoSuchBucket')
    return this.change(asked, this.#ownAnswer(asked, new Uint8Array(body)))
  }

  #ownAnswer({ method, key, query, headers }: BucketRequest, body: Uint8Array): BucketAnswer {
    if (key === '') return this.#list(query)
    const found = this.objects.get(key)
    switch (method) {
      case 'GET':
        if (found === undefined) return refusal(404, 'NoSuchKey')
        return {
          status: 200,
          headers: { etag: `"${md5(found)}"`, 'content-length': `${found.length}` },
          body: found,
        }
      case 'DELETE':
        this.objects.delete(key)
        return { status: 204 }
      default: {
        const match = headers['if-match']
        if (match !== undefined && found === undefined) return refusal(404, 'NoSuchKey')
        const tag = found && (this.wantsBareTags ? md5(found) : `"${md5(found)}"`)
        const holds = (match === undefined || match === tag) && !(headers['if-none-match'] === '*' && found)
        if (!holds) return refusal(412, 'PreconditionFailed')
        this.objects.set(key, body)
        return { status: 200, headers: { etag: `"${md5(body)}"` } }
      }
    }
  }

  #list({ prefix = '', 'continuation-token': token = '' }: Readonly<Record<string, string>>): BucketAnswer {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > token).sort()
    const page = keys.slice(0, this.pageSize)
    const contents = page.map(
      (key) =>
        `<Contents><Key>${key}</Key><Size>${this.objects.get(key)!.length}</Size>` +
        `<LastModified>${this.modified.toISOString()}</LastModified></Contents>`,
    )
    const more = keys.length > this.pageSize ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
    const truncated = `<IsTruncated>${keys.length > this.pageSize}</IsTruncated>`
    return { status: 200, body: `<ListBucketResult>${truncated}${more}${contents.join('')}</ListBucketResult>` }
  }
}
