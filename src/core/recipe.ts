// Recipes: what handles are made of, so that a worker thread, which shares no memory with them, can make them again. Each key model
// declares its own recipes; the pool knows how to make handles from all of them.
import { copyKeys } from './secret.ts'

/** What one handle is made of. The kind says which handle it is. */
interface AnyRecipe {
  readonly kind: string
}

const recipes: WeakMap<object, () => AnyRecipe> = /* @__PURE__ */ new WeakMap()

/** Registers what a handle is made of. The keys that `make` returns stay the handle's. */
export function setRecipe(handle: object, make: () => AnyRecipe): void {
  recipes.set(handle, make)
}

/** What a handle is made of, without copies; only for reading what is not secret. */
export const borrowedRecipe = (handle: object): AnyRecipe | undefined => recipes.get(handle)?.()

/**
 * Copies of what a handle is made of. The caller disposes of the keys.
 * @throws KeystrataError `disposed`
 * @throws TypeError if it is no handle of this copy of the library, or one that a worker cannot have
 */
export function recipeOf(handle: object): AnyRecipe {
  const make = recipes.get(handle)
  if (make === undefined) throw new TypeError('this handle cannot be used in a worker pool')
  return copyKeys(make())
}
