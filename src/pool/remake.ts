// What handles are made of, so that they can be made again elsewhere: in a worker, which shares no memory with them.
import type { Claimant } from '../client/proof.ts'
import type { ScopeKeys } from '../client/scope.ts'
import type { Bytes } from '../core/bytes.ts'
import type { SecretKey } from '../core/secret.ts'
import type { InvitedShare } from '../keyset/invite.ts'
import type { PublicShare } from '../keyset/layout.ts'
import type { OwnerKeys, OwnerPairs } from '../keyset/open.ts'
import type { WritingDefaults, WritingKeys } from '../keyset/writer.ts'

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
