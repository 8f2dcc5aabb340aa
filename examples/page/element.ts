// What the scripts of the pages share.

/** Returns the element of the page with this id. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new TypeError(`the page has no such ${id}`)
  return found
}
