// keystrata/stores/s3: stores in a bucket of S3, or of a server that speaks its protocol (SPEC §6.3). Everything rests
// on conditional writes: If-None-Match and If-Match. A server that ignores them loses writes; checkStore finds it.
// Anyone who may write to the bucket can replace or delete what is in it.
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { type Bytes, concat, copyOf, equalBytes, u64 } from '../core/bytes.ts'
import { optionsFrom } from '../core/options.ts'
import { nameOf, timeOf } from '../core/realms.ts'
import { checkedBytes, StoreMistake } from '../state/checked.ts'
import { pauseBeforeRetry } from '../state/compare-and-set.ts'
import { assertName, assertNameStart, assertVersion } from '../state/name.ts'
import type { BlobStore, StateStore } from '../state/store.ts'
import { copyingBytes } from '../state/copies-bytes.ts'

/** How often to try a change that others, such as a drop beside a write, have overtaken. */
const TRIES = 16

/** How often to offer a write to a server that answers "conflict". */
const CONFLICTS = 6

/** How many earlier versions to read, or to delete, at once. */
const AHEAD = 16

/** The length of version and floor, in front of the bytes of a state object. */
const HEAD_BYTES = 16

/** Where stores are, and the client that reaches it. */
interface S3Options {
  /** An `S3Client` of `@aws-sdk/client-s3`. */
  client: { send(command: never): Promise<unknown> }
  /** The bucket. It must exist. */
  bucket: string
  /** What all keys begin with, such as `backup/`. Give each store a prefix of its own. Empty if omitted. */
  prefix?: string
}

/** An object of the bucket, and the ETag that stands for exactly these bytes. */
interface Seen {
  readonly bytes: Uint8Array
  readonly etag: string
}

/**
 * Creates a store in a bucket. The object `<prefix><name>` holds the newest version, and `<prefix><name>/_/<n>` the
 * earlier version n (SPEC §6.3). A write takes three requests: it reads the object, copies it, and replaces it on the
 * condition that nobody else did. `readVersion` takes two requests for an earlier version, `readVersions` one for each.
 *
 * Call `checkStore` of `keystrata/stores` when a program starts: some servers that speak the protocol of S3 ignore conditions, and then
 * this store would lose writes.
 *
 * The credentials need `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and `s3:ListBucket`. Without the last one, S3
 * answers "access denied" for an object that does not exist. No lifecycle rule may delete objects with this prefix.
 * @param options `client`: an `S3Client` of `@aws-sdk/client-s3`, an optional peer dependency. Its options stay as they
 *   are. If your server refuses the checksums that the SDK sends, create the client with
 *   `requestChecksumCalculation: 'WHEN_REQUIRED'` and `responseChecksumValidation: 'WHEN_REQUIRED'`. `prefix`: what all
 *   keys begin with, such as `backup/`; give each store a prefix of its own
 * @returns a store whose methods throw the errors of the client. `NoSuchBucket` and `AccessDenied` are errors; an object
 *   that does not exist is undefined
 * @throws TypeError if an option is missing or has the wrong type
 * @throws TypeError for an unknown option, or an explicit `undefined` for `prefix`
 * @example
 * ```ts
 * import { S3Client } from '@aws-sdk/client-s3'
 * import { s3StateStore } from 'keystrata/stores/s3'
 *
 * const client = new S3Client({ region: 'eu-central-1' })
 * const store = s3StateStore({ client, bucket: 'backups', prefix: 'state/' })
 * ```
 */
export function s3StateStore(options: S3Options): StateStore {
  const objects = new StateObjects(new Bucket(options, 's3StateStore'))
  return {
    async read(name) {
      assertName(name)
      const newest = await objects.newest(name)
      return newest && { version: newest.version, bytes: newest.bytes }
    },
    async readVersion(name, version) {
      assertName(name)
      assertVersion(version)
      return objects.version(name, version)
    },
    async *readVersions(name, from) {
      assertName(name)
      assertVersion(from)
      yield* objects.versions(name, from)
    },
    async write(name, version, bytes) {
      assertName(name)
      assertVersion(version)
      return objects.write(name, version, copyOf(bytes))
    },
    async drop(name, below) {
      assertName(name)
      if (!Number.isSafeInteger(below)) throw new RangeError('drop takes an integer')
      if (below > 1) await objects.drop(name, below)
    },
  }
}

/**
 * Creates a store of blobs in a bucket. The blob is the object `<prefix><name>`. To replace a blob, the store reads it,
 * compares the bytes, and writes on the condition that nobody else did meanwhile.
 *
 * Call `checkStore` of `keystrata/stores` when a program starts, and see {@link s3StateStore} for the permissions and for the options of
 * the client. `list` skips objects under the prefix whose keys cannot be names of blobs.
 * @param options as for {@link s3StateStore}
 * @returns a store whose methods throw the errors of the client
 * @throws TypeError if an option is missing or has the wrong type
 * @example
 * ```ts
 * import { S3Client } from '@aws-sdk/client-s3'
 * import { blocksIn } from 'keystrata/stores'
 * import { s3BlobStore } from 'keystrata/stores/s3'
 *
 * const blobs = s3BlobStore({ client: new S3Client({ region: 'eu-central-1' }), bucket: 'backups', prefix: 'blocks/' })
 * const blocks = blocksIn(blobs)
 * ```
 */
export function s3BlobStore(options: S3Options): BlobStore {
  const bucket = new Bucket(options, 's3BlobStore')
  return copyingBytes<BlobStore>({
    async get(name) {
      assertName(name)
      return (await bucket.get(name))?.bytes
    },
    async put(name, bytes) {
      assertName(name)
      return bucket.create(name, copyOf(bytes))
    },
    async replace(name, expected, next) {
      assertName(name)
      const [before, after] = [copyOf(expected), copyOf(next)]
      // Another writer may replace the blob by other bytes and then by these again. So a change is no answer yet.
      for (let tries = 0; tries < TRIES; tries++) {
        const seen = await bucket.get(name)
        if (seen === undefined || !equalBytes(seen.bytes, before)) return false
        if (await bucket.replace(name, seen.etag, after)) return true
      }
      throw busy(name)
    },
    async delete(name) {
      assertName(name)
      await bucket.delete(name)
    },
    async *list(prefix) {
      assertNameStart(prefix)
      for await (const { name, size, modified } of bucket.list(prefix)) if (isName(name)) yield { name, size, modified }
    },
  })
}

/** A state object as it is stored. */
interface Newest extends Seen {
  readonly version: number
  /** The versions below this one were dropped. It never falls. */
  readonly floor: number
}

/**
 * State objects in a bucket. Three facts carry everything:
 * 1. The object changes by compare-and-set alone, and is never deleted. Each change raises the version by one, or keeps
 *    version and bytes and raises the floor. So a version has one content for ever, and a condition on an ETag can never
 *    hold for an older state: no two states have the same bytes.
 * 2. Before n + 1 replaces n, its writer has written the copy of n, from bytes that it read whole as version n.
 * 3. Copies are read only from the floor on, and deleted only below it.
 */
class StateObjects {
  readonly #bucket: Bucket

  constructor(bucket: Bucket) {
    this.#bucket = bucket
  }

  async newest(name: string): Promise<Newest | undefined> {
    const seen = await this.#bucket.get(name)
    return seen && parseNewest(seen, name)
  }

  async version(name: string, version: number): Promise<Uint8Array | undefined> {
    const newest = await this.newest(name)
    if (newest === undefined || version > newest.version || version < newest.floor) return undefined
    if (version === newest.version) return newest.bytes
    const copy = await this.#bucket.get(copyName(name, version))
    if (copy !== undefined) return copy.bytes
    // The copy was there when its successor became visible. So it was dropped since, or something else deleted it.
    if (((await this.newest(name))?.floor ?? 0) > version) return undefined
    throw new Error(`version ${version} of ${name} was deleted from the bucket, but not by this store`)
  }

  async *versions(name: string, from: number): AsyncGenerator<{ version: number; bytes: Uint8Array }> {
    const newest = await this.newest(name)
    if (newest === undefined) return
    const ahead: { version: number; copy: Promise<Seen | undefined> }[] = []
    let next = Math.max(from, newest.floor)
    for (;;) {
      while (ahead.length < AHEAD && next < newest.version) {
        const copy = this.#bucket.get(copyName(name, next))
        // A caller that stops reading early, or meets an earlier error, never awaits this one.
        copy.catch(() => undefined)
        ahead.push({ version: next++, copy })
      }
      const first = ahead.shift()
      if (first === undefined) break
      const bytes = (await first.copy)?.bytes ?? (await this.version(name, first.version))
      if (bytes !== undefined) yield { version: first.version, bytes }
    }
    if (from <= newest.version) yield { version: newest.version, bytes: newest.bytes }
  }

  async write(name: string, version: number, bytes: Uint8Array): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const before = await this.newest(name)
      if ((before?.version ?? 0) !== version - 1) return false
      if (before === undefined) {
        if (await this.#bucket.create(name, encodeNewest(version, 1, bytes))) return true
        continue
      }
      // The copy of the version that this write replaces (SPEC §6.3). It needs no condition:
      // - Two racing writers, or one that was late by hours, read the same version n, and so write the same bytes.
      // - A writer that crashes behind this line leaves a copy of the newest version. Readers take that version from the
      //   object itself, and the next writer writes the same copy again.
      // - Beside a drop, a late copy may come back below the floor. Nobody reads it there, and the next drop deletes it.
      await this.#bucket.put(copyName(name, before.version), before.bytes)
      if (await this.#bucket.replace(name, before.etag, encodeNewest(version, before.floor, bytes))) return true
      // Either another writer was faster, and the version has changed. Or a drop has raised the floor: try again.
    }
    throw busy(name)
  }

  async drop(name: string, below: number): Promise<void> {
    const floor = await this.#raiseFloor(name, below)
    // Nothing below 1 was ever written.
    if (floor <= 1) return
    // List the copies, because an earlier drop may have been interrupted here, and late writers may have left some.
    const start = copyName(name, '')
    const dropped: string[] = []
    for await (const { name: copy } of this.#bucket.list(start))
      if (/^[1-9]\d*$/.test(copy.slice(start.length)) && Number(copy.slice(start.length)) < floor) dropped.push(copy)
    while (dropped.length > 0) await Promise.all(dropped.splice(0, AHEAD).map((copy) => this.#bucket.delete(copy)))
  }

  /**
   * Raises the floor of an object to `below`, but never above its newest version, by compare-and-set with the same
   * version. A write beside this makes one of the two fail, and that one reads again. So neither is lost.
   * @returns the floor; 0 if there is no such object
   */
  async #raiseFloor(name: string, below: number): Promise<number> {
    for (let tries = 0; tries < TRIES; tries++) {
      const newest = await this.newest(name)
      if (newest === undefined) return 0
      const { version, bytes, etag } = newest
      const floor = Math.min(below, version)
      if (floor <= newest.floor) return newest.floor
      if (await this.#bucket.replace(name, etag, encodeNewest(version, floor, bytes))) return floor
      await pauseBeforeRetry(tries, 1)
    }
    throw busy(name)
  }
}

/** The name of the copy of an earlier version. Names contain no `_`, so it is never the name of another object. */
const copyName = (name: string, version: number | ''): string => `${name}/_/${version}`

const encodeNewest = (version: number, floor: number, bytes: Uint8Array): Bytes =>
  concat(u64(version), u64(floor), bytes)

/** @throws Error if it is not a state object: something else has written there */
function parseNewest({ bytes, etag }: Seen, name: string): Newest {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const [version, floor] = bytes.length < HEAD_BYTES ? [0, 0] : [0, 8].map((at) => Number(view.getBigUint64(at)))
  if (version === undefined || floor === undefined || !Number.isSafeInteger(version) || version < 1 || floor > version)
    throw new Error(`the object ${name} in the bucket was not written by this store, or is damaged`)
  return { version, floor, bytes: bytes.subarray(HEAD_BYTES), etag }
}

const busy = (name: string): Error => new Error(`others change ${name} all the time: ${TRIES} tries were not enough`)

/** The part of a bucket that has a prefix, and what the protocol of S3 means there. */
class Bucket {
  readonly #client: S3Options['client']
  readonly #bucket: string
  readonly #prefix: string
  /** How the server wants ETags in If-Match, once a write has shown it. */
  #form: ((etag: string) => string) | undefined

  constructor(options: S3Options, what: string) {
    const rules = { client: 'required', bucket: 'required', prefix: 'defined' } as const
    const { client, bucket, prefix = '' } = optionsFrom(options, rules, what)
    if (typeof (client as Partial<S3Options['client']> | undefined)?.send !== 'function')
      throw new TypeError('client must be an S3Client of @aws-sdk/client-s3')
    if (typeof bucket !== 'string' || bucket === '') throw new TypeError('bucket must be the name of a bucket')
    if (typeof prefix !== 'string') throw new TypeError('prefix must be a string')
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix
  }

  async #send<T>(command: object): Promise<T> {
    return (await this.#client.send(command as never)) as T
  }

  #place(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name }
  }

  /** @returns undefined only if the server says that the bucket has no such object */
  async get(name: string): Promise<Seen | undefined> {
    let answer: GetObjectCommandOutput
    try {
      answer = await this.#send(new GetObjectCommand(this.#place(name)))
    } catch (error) {
      if (isNoSuchKey(error)) return undefined
      throw error
    }
    const { Body, ContentLength, ETag } = objectOf(answer)
    if (typeof Body?.transformToByteArray !== 'function')
      throw new StoreMistake('this client returned an object without a body that can be read as bytes')
    const bytes = checkedBytes(await Body.transformToByteArray(), 'the body of an object', 'a Uint8Array')
    // Never take a body that was cut for a shorter object: a writer would copy it.
    if (ContentLength !== undefined && bytes.length !== ContentLength)
      throw new Error(`the answer for ${name} was cut: it has ${bytes.length} of ${String(ContentLength)} bytes`)
    if (typeof ETag !== 'string' || ETag === '')
      throw new StoreMistake('this server sends no ETag, so nothing can be replaced safely')
    return { bytes, etag: ETag }
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#send(new PutObjectCommand({ ...this.#place(name), Body: bytes }))
  }

  /** Writes an object if there is none. Returns false if there is one. */
  async create(name: string, bytes: Uint8Array): Promise<boolean> {
    return this.#putIf(name, bytes, { IfNoneMatch: '*' })
  }

  /**
   * Writes an object if it still has this ETag. Returns false if it has not.
   *
   * Some servers compare the ETag without its quotation marks, and refuse the quoted form always (radosgw 16 of Ceph).
   * So this looks into a refusal while the form is unknown: if the object still has the ETag that was sent, it tries the
   * other form, once. That cannot turn a lost race into true, because the other form states the same condition. The form
   * of the first success is kept, and from then on a refusal is a refusal.
   */
  async replace(name: string, etag: string, bytes: Uint8Array): Promise<boolean> {
    for (const form of this.#form === undefined ? [quoted, unquoted] : [this.#form]) {
      if (await this.#putIf(name, bytes, { IfMatch: form(etag) })) {
        this.#form = form
        return true
      }
      if (this.#form !== undefined || (await this.get(name))?.etag !== etag) return false
    }
    throw new Error(`the server refuses to replace ${name}, although its ETag is the one that was sent`)
  }

  /**
   * Writes on a condition. Returns false if the server says that the condition does not hold. A conflict (409) says that
   * the server could not find out, and has written nothing: offer it again. Anything else is no answer, and is thrown.
   */
  async #putIf(
    name: string,
    bytes: Uint8Array,
    condition: { IfMatch: string } | { IfNoneMatch: '*' },
  ): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#send(new PutObjectCommand({ ...this.#place(name), ...condition, Body: bytes }))
        return true
      } catch (error) {
        const status = statusOf(error)
        // S3 answers 404 if the object that If-Match names was deleted meanwhile.
        if (status === 412 || ('IfMatch' in condition && isNoSuchKey(error))) return false
        if (status !== 409 || tries === CONFLICTS) throw error
        await pauseBeforeRetry(tries, 20)
      }
    }
  }

  async delete(name: string): Promise<void> {
    try {
      await this.#send(new DeleteObjectCommand(this.#place(name)))
    } catch (error) {
      if (!isNoSuchKey(error)) throw error
    }
  }

  async *list(start: string): AsyncGenerator<{ name: string; size: number; modified: Date }> {
    let token: string | undefined
    do {
      const answer: ListObjectsV2CommandOutput = await this.#send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + start,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
      )
      const page = objectOf(answer)
      const contents: unknown = page.Contents ?? []
      if (!Array.isArray(contents)) throw new StoreMistake('this client returned a list that is not an array')
      for (const each of contents as unknown[]) {
        const { Key, Size, LastModified } = Object(each) as Readonly<Record<string, unknown>>
        if (typeof Key !== 'string' || typeof Size !== 'number' || Number.isNaN(timeOf(LastModified)))
          throw new StoreMistake('this server lists objects without their key, size or date')
        yield { name: Key.slice(this.#prefix.length), size: Size, modified: LastModified as Date }
      }
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined
      // Never take the first part of a list for the whole.
      if (page.IsTruncated === true && (next === undefined || next === '' || next === token))
        throw new StoreMistake('this server ends a list early: it says that there is more, and does not say where')
      token = next
    } while (token !== undefined)
  }
}

/** @throws StoreMistake if a client returned something else than an object */
function objectOf<T>(answer: T): T & object {
  if (typeof answer === 'object' && answer !== null) return answer
  throw new StoreMistake('this client returned no object as the answer to a command')
}

/** ETags come in quotation marks, and HTTP wants them back like that. */
const quoted = (etag: string): string => (etag.startsWith('"') ? etag : `"${etag}"`)
const unquoted = (etag: string): string => etag.replaceAll('"', '')

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode

/** Returns whether the bucket has no such object. A missing bucket, or a 404 of anything else, is not that. */
const isNoSuchKey = (error: unknown): boolean => nameOf(error) === 'NoSuchKey' && statusOf(error) === 404

function isName(key: string): boolean {
  try {
    assertName(key)
    return true
  } catch {
    return false
  }
}
