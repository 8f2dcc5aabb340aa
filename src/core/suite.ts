// Suites: what protects an object (SPEC §2). A suite is one row of data. Code that depends on a suite reads the row, or
// switches over all rows. So a new row does not compile until every such place handles it.

/** The key agreements of a keyset, in the order in which a transcript lists them (SPEC §3.2). */
export const METHODS = ['x25519', 'mlKem1024'] as const
export type Method = (typeof METHODS)[number]

/** How strongly a block of a keyset is protected. These are the numbers in the format: a higher number is stronger. */
export const Strength = { none: 0, x25519: 1, hybrid: 2 } as const
export type Strength = (typeof Strength)[keyof typeof Strength]

interface Row {
  /** The number in the header. */
  readonly id: number
  /** What an object under this suite belongs to, for error messages. */
  readonly owner?: string
  /** The length of a block's envelope. Suites without it protect no blocks. */
  readonly envelopeBytes?: number
  /** How strongly it protects the blocks of a keyset. */
  readonly strength?: Strength
  /** The key agreements that are combined. */
  readonly methods?: readonly Method[]
  /** The length of the AES key. */
  readonly keyBytes?: number
  /** What authenticates a record (SPEC §7.2). Suites without it have no records. */
  readonly record?: 'signatures' | 'mac'
}

export const Suite = {
  none: { id: 0x0000, envelopeBytes: 49, strength: 0, record: 'signatures' },
  x25519: { id: 0x0101, owner: 'a keyset', envelopeBytes: 145, strength: 1, methods: ['x25519'], record: 'signatures' },
  hybrid: {
    id: 0x0102,
    owner: 'a keyset',
    envelopeBytes: 1713,
    strength: 2,
    methods: ['x25519', 'mlKem1024'],
    record: 'signatures',
  },
  vault: { id: 0x0201, owner: 'a vault', envelopeBytes: 128 },
  vaultRecord: { id: 0x0202, owner: 'a vault', keyBytes: 32, record: 'mac' },
  aes128: { id: 0x0301, owner: 'a client', envelopeBytes: 112, keyBytes: 16 },
  aes192: { id: 0x0302, owner: 'a client', envelopeBytes: 112, keyBytes: 24 },
  aes256: { id: 0x0303, owner: 'a client', envelopeBytes: 112, keyBytes: 32 },
  des56: { id: 0x0304, owner: 'a client under DES-56, which keystrata/legacy opens', envelopeBytes: 88 },
  recordAes128: { id: 0x0311, owner: 'a client', keyBytes: 16, record: 'mac' },
  recordAes192: { id: 0x0312, owner: 'a client', keyBytes: 24, record: 'mac' },
  recordAes256: { id: 0x0313, owner: 'a client', keyBytes: 32, record: 'mac' },
  wrap: { id: 0x0401 },
  seal: { id: 0x0402, methods: ['x25519', 'mlKem1024'] },
} as const

export type Suite = Extract<(typeof Suite)[keyof typeof Suite], Row>
/** The suites whose rows have this column. */
type With<Column extends keyof Row> = Extract<Suite, Readonly<Record<Column, unknown>>>

/** Suites of stored blocks, in every key model. */
export type BlockSuite = With<'envelopeBytes'>
/** Suites whose key comes from a key agreement. */
export type AgreementSuite = With<'methods'>
/** Suites of a keyset's blocks, unencrypted ones included. */
export type KeysetSuite = With<'strength'>
/** Suites of a keyset's encrypted blocks and of its records. */
export type EncryptedSuite = AgreementSuite & KeysetSuite
/** Suites of records, in every key model. */
export type RecordSuite = With<'record'>
/** Suites of records that are sealed and authenticated under one key. */
export type KeyedRecordSuite = Extract<RecordSuite, { readonly record: 'mac' }>

/** Every suite that a stored block can have. */
export const BLOCK_SUITES: readonly BlockSuite[] = suitesWith('envelopeBytes')
/** Every suite of a keyset's blocks. */
export const KEYSET_SUITES: readonly KeysetSuite[] = suitesWith('strength')
/** Every suite of a keyset's encrypted blocks and of its records. */
export const ENCRYPTED_SUITES: readonly EncryptedSuite[] = /* @__PURE__ */ KEYSET_SUITES.filter(
  (suite) => 'methods' in suite,
)
/** Every suite of a record. */
export const RECORD_SUITES: readonly RecordSuite[] = suitesWith('record')

/* @__NO_SIDE_EFFECTS__ */
function suitesWith<Column extends keyof Row>(column: Column): readonly With<Column>[] {
  return Object.values(Suite).filter((suite): suite is With<Column> => column in suite)
}

/** Returns the suite that protects blocks of a keyset with this strength. */
export function suiteOf(strength: Strength): KeysetSuite {
  switch (strength) {
    case Strength.none:
      return Suite.none
    case Strength.x25519:
      return Suite.x25519
    case Strength.hybrid:
      return Suite.hybrid
  }
}

/**
 * Returns the suite of a log's records. Records hold labels and names, so they are encrypted even if blocks are not.
 */
export function recordSuiteOf(strength: Strength): EncryptedSuite {
  switch (strength) {
    case Strength.x25519:
      return Suite.x25519
    case Strength.none:
    case Strength.hybrid:
      return Suite.hybrid
  }
}

/** Returns the weakest suite for a new envelope of a block that is already encrypted. */
export function rekeySuiteOf(strength: Strength): EncryptedSuite {
  switch (strength) {
    case Strength.none:
    case Strength.x25519:
      return Suite.x25519
    case Strength.hybrid:
      return Suite.hybrid
  }
}

/** Returns the strongest of several suites. */
export function strongestSuite(first: EncryptedSuite, ...others: readonly EncryptedSuite[]): EncryptedSuite {
  return others.reduce((strongest, each) => (each.strength > strongest.strength ? each : strongest), first)
}
