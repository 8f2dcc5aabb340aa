/** The files of the source that are not mutated. */
export const NOT_MUTATED: readonly string[]

declare const config: { readonly incrementalFile: string; readonly thresholds: { readonly break: number } }
export default config
