// A bucket in memory that counts its requests, for the numbers in docs/stores.md. It answers the requests that the
// adapter for S3 sends (src/stores/s3.ts), with their conditions. test/stores/s3.test.ts runs that adapter on a real server.
import { createHash } from 'node:crypto'
import type {
  DeleteObjectCommandInput,
  GetObjectCommandInput,
  ListObjectsV2CommandInput,
  PutObjectCommandInput,
} from '@aws-sdk/client-s3'

type Kind = 'GET' | 'PUT' | 'LIST' | 'DELETE'
type Input = GetObjectCommandInput & PutObjectCommandInput & ListObjectsV2CommandInput & DeleteObjectCommandInput

const KINDS: Readonly<Record<string, Kind>> = {
  GetObjectCommand: 'GET',
  PutObjectCommand: 'PUT',
  ListObjectsV2Command: 'LIST',
  DeleteObjectCommand: 'DELETE',
}

const refused = (name: string, httpStatusCode: number) =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } })

export class CountingBucket {
  readonly #objects: Map<string, Uint8Array> = new Map()
  #counts: Partial<Record<Kind, number>> = {}

  async send(command: { input: Input }): Promise<unknown> {
    const kind = KINDS[command.constructor.name]!
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1
    const { Key = '', Prefix = '', Body, IfMatch, IfNoneMatch } = command.input
    const found = this.#objects.get(Key)
    switch (kind) {
      case 'GET':
        if (found === undefined) throw refused('NoSuchKey', 404)
        return { Body: { transformToByteArray: async () => new Uint8Array(found) }, ETag: etagOf(found) }
      case 'PUT':
        if (IfNoneMatch !== undefined && found !== undefined) throw refused('PreconditionFailed', 412)
        if (IfMatch !== undefined && (found === undefined || etagOf(found) !== IfMatch))
          throw refused('PreconditionFailed', 412)
        this.#objects.set(Key, new Uint8Array(Body as Uint8Array))
        return {}
      case 'LIST':
        return { Contents: [...this.#objects].filter(([key]) => key.startsWith(Prefix)).map(listed) }
      case 'DELETE':
        this.#objects.delete(Key)
        return {}
    }
  }

  /** Returns how many requests `work` sends, such as `2 GET, 1 PUT`. */
  async during(work: () => Promise<unknown>): Promise<string> {
    this.#counts = {}
    await work()
    const kinds = ['GET', 'PUT', 'LIST', 'DELETE'] as const
    const parts = kinds.flatMap((kind) => (this.#counts[kind] === undefined ? [] : [`${this.#counts[kind]} ${kind}`]))
    return parts.join(', ')
  }
}

const etagOf = (bytes: Uint8Array) => `"${createHash('md5').update(bytes).digest('hex')}"`

const listed = ([key, bytes]: [string, Uint8Array]) => ({ Key: key, Size: bytes.length, LastModified: new Date() })
