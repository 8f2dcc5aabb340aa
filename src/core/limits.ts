// The keyset as it is stored (SPEC §5): one outer layout, and for each destination the sections that may be in it. What is
// stored where is decided by these lists of fields alone: what a list does not name is not written there.

export const MAX_KEYSET_BYTES: number = 1024 * 1024
