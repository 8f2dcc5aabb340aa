// Recipes: the parts of a handle, from which a worker thread recreates the handle in its own memory. Each key model
// declares its own recipes. The pool recreates handles from all of them.
import { copyKeys } from './secret.ts'

/** The parts of one handle. The kind says which handle it is. */
interface AnyRecipe {
  readonly kind: string
}

const recipes: WeakMap<object, () => AnyRecipe> = /* @__PURE__ */ new WeakMap()

/** Registers the recipe of a handle. The handle still owns the keys that `make` returns. */
export function setRecipe(handle: object, make: () => AnyRecipe): void {
  recipes.set(handle, make)
}

/**
 * Returns whether this is a handle of this library. Such a writer can seal content in memory that it is lent, and such a
 * reader keeps neither the block nor the content. A third-party reader may try again with the same block, or keep what it
 * returned.
 */
export const isOwnHandle = (handle: object): boolean => recipes.has(handle)

/**
 * Returns the recipe of a handle, with copies of its keys. The caller disposes of them.
 * @throws KeystrataError `disposed` if this handle was disposed of
 * @throws TypeError if it is not a handle from this copy of the library, or cannot be used in a worker
 */
export function recipeOf(handle: object): AnyRecipe {
  const make = recipes.get(handle)
  if (make === undefined) throw new TypeError('this handle cannot be used in a worker pool')
  return copyKeys(make())
}
