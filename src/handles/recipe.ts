// What handles are made of, so that they can be made again elsewhere: in a worker, which shares no memory with them.
import type { OwnerKeys, OwnerPairs } from '../blocks/owner-blocks.ts'
import type { Bytes } from '../bytes.ts'
import type { PublicShare } from '../format/keyset.ts'
import type { Claimant } from '../keys/claim.ts'
import { copyKeys, type SecretKey } from '../secret.ts'
import type { InvitedShare } from '../sharing/invite.ts'
import type { ScopeKeys } from './client-scope.ts'
import type { WritingKeys, WritingDefaults } from './keyset-writer.ts'

/** The keys that a handle does by what a pool does, and no others. */
export type Recipe =
  | { readonly kind: 'writer'; readonly keys: WritingKeys; readonly defaults: WritingDefaults }
  | { readonly kind: 'owner'; readonly owner: OwnerKeys }
  | {
      readonly kind: 'share'
      readonly share: PublicShare
      /** The source signing key of the keyset: its public half. */
      readonly sharer: Uint8Array
      readonly encryption: number
      readonly owner: OwnerPairs
    }
  | { readonly kind: 'shared'; readonly invited: InvitedShare; readonly sourceSigning: Bytes }
  | { readonly kind: 'vault'; readonly id: Bytes; readonly dataKey: SecretKey<'data'> }
  | { readonly kind: 'client'; readonly claimant: Claimant }
  | ({ readonly kind: 'scope' } & ScopeKeys)

const recipes: WeakMap<object, () => Recipe> = new WeakMap()

/** Each handle says once what it is made of; `make` borrows. */
export function setRecipe(handle: object, make: () => Recipe): void {
  recipes.set(handle, make)
}

/** What a handle is made of, for a look at what is no secret of it. */
export const borrowedRecipe = (handle: object): Recipe | undefined => recipes.get(handle)?.()

/**
 * Copies of what a handle is made of; the caller disposes of the keys.
 * @throws KeystrataError `disposed`
 * @throws TypeError for what is no handle of this very library, or one that cannot be made elsewhere
 */
export function recipeOf(handle: object): Recipe {
  const make = recipes.get(handle)
  if (make === undefined) throw new TypeError('no handle of this library that a worker could have')
  return copyKeys(make())
}
