// What handles are made of, so that they can be made again elsewhere: in a worker, which shares no memory with them.
import type { Recipe } from '../pool/remake.ts'
import { copyKeys } from './secret.ts'

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
