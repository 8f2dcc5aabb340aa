// Recreates handles from their recipes in a worker thread. A new kind of recipe does not compile until it is handled
// here.
import type { BlockReader, BlockWriter } from '../core/block.ts'
import { disposeKeys } from '../core/secret.ts'
import { openedClient } from '../client/client.ts'
import { cipherOf, OpenScope } from '../client/scope.ts'
import type { KeysetRecipe } from '../keyset/keyset.ts'
import { envelopeKeysOf } from '../keyset/open.ts'
import { OwnerBlocks } from '../keyset/owner.ts'
import { BlockRekeyer } from '../keyset/rekey.ts'
import { AcceptedShare } from '../keyset/share.ts'
import { BlockSealer, type WriterRecipe } from '../keyset/writer.ts'
import { OpenedVault } from '../vault/block.ts'
import type { Recipe } from './messages.ts'

/** A recreated handle. It has the parts that its kind of handle offers. */
export interface Remade {
  readonly writer?: BlockWriter
  readonly reader?: BlockReader
  readonly owner?: Pick<BlockRekeyer, 'rekey'>
  dispose(): void
}

/** Recreates the handle of a recipe. The handle owns the keys in the recipe. */
export function remake(recipe: Recipe): Remade {
  switch (recipe.kind) {
    case 'writer':
      return sealerOf(recipe)
    case 'keyset':
      return keysetOf(recipe)
    case 'rekeyer': {
      const keys = envelopeKeysOf(recipe.owner)
      const dispose = () => {
        keys.dispose()
        disposeKeys(recipe)
      }
      return { owner: new BlockRekeyer(recipe.owner, keys), dispose }
    }
    case 'shared': {
      const reader = new AcceptedShare(recipe.invited, recipe)
      disposeKeys(recipe)
      return { reader, dispose: () => reader.dispose() }
    }
    case 'vault': {
      const vault = new OpenedVault(recipe.id, recipe.dataKey)
      return { writer: vault, reader: vault, dispose: () => vault.dispose() }
    }
    case 'client': {
      const client = openedClient(recipe.claimant)
      return { reader: client, dispose: () => client.dispose() }
    }
    case 'scope': {
      const cipher = cipherOf(recipe.keys)
      disposeKeys(recipe)
      const scope = new OpenScope(cipher, { des: false }, () => undefined)
      return { writer: scope, reader: scope, dispose: () => cipher.dispose() }
    }
  }
}

function sealerOf(recipe: WriterRecipe): Remade {
  const { keys, defaults, sourceSigning } = recipe
  const writer = new BlockSealer(
    keys,
    defaults,
    () => sourceSigning,
    () => undefined,
  )
  const dispose = () => {
    writer.dispose()
    disposeKeys(recipe)
  }
  return { writer, dispose }
}

function keysetOf(recipe: KeysetRecipe): Remade {
  const { owner, shares, sourceSigning, dedup } = recipe
  const { id, encryption, blockSalt, dedupKey, adopted } = owner
  const blocks = new OwnerBlocks(owner)
  const keys = { id, blockPair: owner.blockPair.publicHalves, blockSalt, dedupKey, shares, adopted }
  const writer = new BlockSealer(
    keys,
    { encryption, dedup },
    () => sourceSigning,
    () => undefined,
  )
  const dispose = () => {
    blocks.dispose()
    writer.dispose()
    disposeKeys(recipe)
  }
  return { writer, reader: blocks, owner: blocks, dispose }
}
