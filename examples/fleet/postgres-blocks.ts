// A product's own store of blocks, in two tables of PostgreSQL. The heads are in a table without the ciphertexts, so
// rekeying reads and writes nothing else. Each call is one of many in a statement.
import { setTimeout as pause } from 'node:timers/promises'
import type { BlockHead, SealedBlock, StoredBlock } from 'keystrata'
import type { Blocks } from 'keystrata/stores'
import { Grouped } from './grouped.ts'

/** What the store needs of a database: a Pool of `pg` has it. */
interface Database {
  query(query: { name: string; text: string; values: unknown[] }): Promise<{ rows: unknown[] }>
}

/** How many heads are read at once. The next ones are read while the caller works with these. */
const PAGE = 500

/** After so many heads, other work gets a turn: the caller's own may never wait for anything. */
const HEADS_PER_TURN = 64

/** How often to run a statement that the server rolled back because of others. */
const TRIES = 10

/** `serialization_failure` and `deadlock_detected`. Such a statement has changed nothing. */
const ROLLED_BACK: ReadonlySet<unknown> = new Set(['40001', '40P01'])

/**
 * Creates the tables, if they are not there. A page has room for a second version of each envelope in it. So replacing an
 * envelope touches one page, no index, and leaves nothing to clean up later. Envelopes are random: nothing compresses them.
 */
export const blocksSchema = `CREATE TABLE IF NOT EXISTS block_head (
  label bytea PRIMARY KEY,
  envelope bytea NOT NULL
) WITH (fillfactor = 45);
ALTER TABLE block_head ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS block_ciphertext (
  label bytea PRIMARY KEY,
  ciphertext bytea NOT NULL
);
ALTER TABLE block_ciphertext ALTER COLUMN ciphertext SET STORAGE EXTERNAL;`

/** Deletes the tables. */
export const dropBlocks = 'DROP TABLE IF EXISTS block_head, block_ciphertext;'

// The number of a call among those of its statement comes back, so that each caller gets their own answer.
const STATEMENTS = {
  // The inner query has no upper bound: with one, a planner that takes the range for a short one reads and sorts all of it
  // for each page. And it sorts by the column: the text of the same name has no index.
  heads: `SELECT encode(h.label, 'hex') AS label, h.envelope
FROM (SELECT label, envelope FROM block_head WHERE label >= $1::bytea ORDER BY label LIMIT ${PAGE}) h
WHERE h.label <= $2::bytea ORDER BY h.label`,

  get: `SELECT g.n::int AS n, envelope, ciphertext FROM unnest($1::bytea[]) WITH ORDINALITY AS g(label, n)
JOIN block_head USING (label) JOIN block_ciphertext USING (label)`,

  has: `SELECT g.n::int AS n FROM unnest($1::bytea[]) WITH ORDINALITY AS g(label, n)
JOIN block_head USING (label) JOIN block_ciphertext USING (label)`,

  // In the order of the labels, so that two statements never wait for each other.
  put: `WITH given AS (
  SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS g(label, envelope, ciphertext, n)
), written AS (
  INSERT INTO block_head (label, envelope) SELECT label, envelope FROM given ORDER BY label
  ON CONFLICT (label) DO NOTHING RETURNING label
), stored AS (
  INSERT INTO block_ciphertext AS c (label, ciphertext) SELECT label, ciphertext FROM given JOIN written USING (label)
  ON CONFLICT (label) DO UPDATE SET ciphertext = EXCLUDED.ciphertext
) SELECT n::int AS n FROM given JOIN written USING (label)`,

  replace: `UPDATE block_head h SET envelope = g.next
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS g(label, envelope, next, n)
WHERE h.label = g.label AND h.envelope = g.envelope RETURNING g.n::int AS n`,

  delete: `WITH head AS (DELETE FROM block_head WHERE label = $1::bytea)
DELETE FROM block_ciphertext WHERE label = $1::bytea`,
} as const

type Replacement = BlockHead & { readonly next: Uint8Array }

/**
 * Blocks in PostgreSQL. They have no shares.
 * @param db a pool. With `plan_cache_mode = force_generic_plan`, a head takes a third less of the server's time
 */
export class PostgresBlocks implements Blocks {
  readonly #db: Database
  readonly #gets: Grouped<{ label: string }, StoredBlock | undefined>
  readonly #hass: Grouped<{ label: string }, boolean>
  readonly #puts: Grouped<StoredBlock, boolean>
  readonly #replacements: Grouped<Replacement, boolean>

  constructor(db: Database) {
    this.#db = db
    this.#gets = new Grouped(async (calls) => this.#getAll(calls))
    this.#hass = new Grouped(async (calls) => this.#which('has', calls.length, [labelsOf(calls)]))
    this.#puts = new Grouped(async (calls) =>
      this.#which('put', calls.length, [
        labelsOf(calls),
        arrayOf(calls.map(({ envelope }) => envelope)),
        arrayOf(calls.map(({ ciphertext }) => ciphertext)),
      ]),
    )
    this.#replacements = new Grouped(async (calls) =>
      this.#which('replace', calls.length, [
        labelsOf(calls),
        arrayOf(calls.map(({ envelope }) => envelope)),
        arrayOf(calls.map(({ next }) => next)),
      ]),
    )
  }

  async has(label: string): Promise<boolean> {
    assertLabel(label)
    return this.#hass.ask({ label })
  }

  async get(label: string): Promise<StoredBlock | undefined> {
    assertLabel(label)
    return this.#gets.ask({ label })
  }

  async put(block: StoredBlock & Pick<SealedBlock, 'shared'>): Promise<boolean> {
    if (block.shared !== undefined && block.shared.size > 0) throw new TypeError('this store has no heads for shares')
    const { label, envelope, ciphertext } = block
    assertLabel(label)
    return this.#puts.ask({ label, envelope: assertBytes(envelope), ciphertext: assertBytes(ciphertext) })
  }

  async replaceEnvelope({ label, envelope }: BlockHead, next: Uint8Array): Promise<boolean> {
    assertLabel(label)
    return this.#replacements.ask({ label, envelope: assertBytes(envelope), next: assertBytes(next) })
  }

  /** Deletes the ciphertext too: here, no other head names it. */
  async delete(label: string): Promise<void> {
    assertLabel(label)
    await this.#query('delete', [Buffer.from(label, 'hex')])
  }

  async *heads({ prefix = '' }: { prefix?: string | undefined } = {}): AsyncGenerator<BlockHead> {
    if (!/^[\da-f]{0,64}$/.test(prefix)) throw new TypeError('prefix must be hex digits, the beginning of a label')
    const last = prefix.padEnd(64, 'f')
    let reading = this.#page(prefix.padEnd(64, '0'), last)
    let turn = 0
    for (;;) {
      const page = await reading
      const end = page.at(-1)
      const isLast = page.length < PAGE || end === undefined
      if (!isLast) {
        // No label lies between one and the same with a zero byte after it.
        reading = this.#page(`${end.label}00`, last)
        // If the caller stops here, nobody waits for it.
        reading.catch(() => undefined)
      }
      for (const head of page) {
        if (++turn % HEADS_PER_TURN === 0) await new Promise(setImmediate)
        yield head
      }
      if (isLast) return
    }
  }

  async #page(first: string, last: string): Promise<readonly BlockHead[]> {
    const rows = await this.#query('heads', [Buffer.from(first, 'hex'), Buffer.from(last, 'hex')])
    return (rows as { label: string; envelope: Buffer }[]).map(({ label, envelope }) => ({
      label,
      envelope: plain(envelope),
    }))
  }

  async #getAll(calls: readonly { label: string }[]): Promise<(StoredBlock | undefined)[]> {
    const found = calls.map((): StoredBlock | undefined => undefined)
    const rows = await this.#query('get', [labelsOf(calls)])
    for (const { n, envelope, ciphertext } of rows as { n: number; envelope: Buffer; ciphertext: Buffer }[]) {
      const { label } = calls[n - 1]!
      found[n - 1] = { label, envelope: plain(envelope), ciphertext: plain(ciphertext) }
    }
    return found
  }

  /** Runs a statement that returns the numbers of the calls whose answer is true. */
  async #which(name: keyof typeof STATEMENTS, count: number, values: unknown[]): Promise<boolean[]> {
    const answers = Array<boolean>(count).fill(false)
    for (const { n } of (await this.#query(name, values)) as { n: number }[]) answers[n - 1] = true
    return answers
  }

  async #query(name: keyof typeof STATEMENTS, values: unknown[]): Promise<unknown[]> {
    for (let tries = 1; ; tries++) {
      try {
        return (await this.#db.query({ name: `blocks-${name}`, text: STATEMENTS[name], values })).rows
      } catch (error) {
        if (tries === TRIES || !ROLLED_BACK.has((error as { code?: unknown }).code)) throw error
      }
      await pause(Math.random() * 20 * tries)
    }
  }
}

function assertLabel(label: string): void {
  if (typeof label !== 'string' || !/^[\da-f]{64}$/.test(label)) throw new TypeError('a label has 64 hex digits')
}

function assertBytes(bytes: unknown): Uint8Array {
  if (ArrayBuffer.isView(bytes) && 'subarray' in bytes) return bytes as Uint8Array
  throw new TypeError('the parts of a block must be Uint8Arrays')
}

const plain = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length)

const labelsOf = (calls: readonly { label: string }[]): Buffer =>
  arrayOf(calls.map(({ label }) => Buffer.from(label, 'hex')))

const BYTEA = 17

/**
 * Returns a parameter of the type `bytea[]` in PostgreSQL's binary format: one dimension, no nulls, the type of the
 * items, how many they are, the number of the first, and then each with its length. As text, each byte would travel as two digits.
 */
function arrayOf(items: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [int32(1, 0, BYTEA, items.length, 1)]
  for (const item of items) parts.push(int32(item.length), item)
  return Buffer.concat(parts)
}

function int32(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length)
  for (const [index, number] of numbers.entries()) bytes.writeInt32BE(number, 4 * index)
  return bytes
}
