export const FOLDER: string
export const NOT_MUTATED: readonly string[]
export const SCORE: number
export const SLOWEST_MS: number
