// Opens the servers of a run in one process: the database, the bucket, and stores in both, with the faults of the run.
import { renameSync, writeFileSync } from 'node:fs'
import { S3Client } from '@aws-sdk/client-s3'
import {
  type BlobStore,
  blocksIn,
  prefixed,
  type RegistryStore,
  type SharedBlocks,
  type StateStore,
} from 'keystrata/stores'
import { postgresStateStore } from 'keystrata/stores/postgres'
import { s3BlobStore, s3StateStore } from 'keystrata/stores/s3'
import pg from 'pg'
import { s3ClientOf } from '../stores/rados-gateway.ts'
import { Faults } from './faults.ts'
import { Random } from './random.ts'
import { sabotagedBlobs, sabotagedState } from './sabotage.ts'
import type { RunConfig } from './tasks.ts'

/** Replaces a file at once, whichever process reads it. */
export function replaceFile(path: string, bytes: Uint8Array): void {
  const next = `${path}.${process.pid}`
  writeFileSync(next, bytes)
  renameSync(next, path)
}

export class Places {
  readonly config: RunConfig
  readonly random: Random
  readonly faults: Faults
  readonly pool: pg.Pool
  readonly s3: S3Client

  /** @param isSound whether nothing is lost on the way to the servers, as for an audit */
  constructor(
    config: RunConfig,
    seed: number,
    { connections, isSound = false }: { connections: number; isSound?: boolean },
  ) {
    this.config = config
    this.random = new Random(seed)
    this.faults = new Faults(this.random, isSound ? 0 : config.faults)
    this.pool = new pg.Pool({ ...config.postgres, max: connections, application_name: 'keystrata-soak' })
    // Connections get cut, and the server restarts. The next query says so.
    this.pool.on('error', () => undefined)
    this.pool.on('connect', (client) => void client.on('error', () => undefined))
    this.s3 = s3ClientOf({ credentials: config.s3 }, config.s3.endpoint)
  }

  database(table?: string): RegistryStore {
    const store = postgresStateStore(this.pool, table === undefined ? {} : { table })
    return sabotagedState(store, this.config.sabotage, this.random)
  }

  state(place: 'postgres' | 's3', prefix: string): StateStore {
    const store =
      place === 'postgres'
        ? prefixed(this.database(), prefix)
        : sabotagedState(
            s3StateStore({ client: this.s3, bucket: this.config.bucket, prefix: `state/${prefix}` }),
            this.config.sabotage,
            this.random,
          )
    return this.faults.state(place, store)
  }

  blobs(prefix: string): BlobStore {
    const store = s3BlobStore({ client: this.s3, bucket: this.config.bucket, prefix: `blocks/${prefix}` })
    return this.faults.blobs('blocks', sabotagedBlobs(store, this.config.sabotage, this.random))
  }

  blocks(prefix: string): SharedBlocks {
    return blocksIn(this.blobs(prefix))
  }

  async close(): Promise<void> {
    this.s3.destroy()
    await this.pool.end()
  }
}
