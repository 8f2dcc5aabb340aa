// What a backup or a restore has done, in numbers.

export interface Tally {
  files: number
  bytes: number
  blocks: number
  packed: number
  /** How many of the blocks the store had already. */
  deduplicated: number
  /** How many bytes of content the store did not have. */
  newBytes: number
  /** How long it took, in milliseconds. */
  ms: number
}

export const newTally = (): Tally => ({
  files: 0,
  bytes: 0,
  blocks: 0,
  packed: 0,
  deduplicated: 0,
  newBytes: 0,
  ms: 0,
})
