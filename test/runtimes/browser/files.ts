// Replaces test/files.ts in browsers, where the files are bundled.
/// <reference types="vite/types/importMeta.d.ts" />

const texts = import.meta.glob<string>(['../../vectors/*.json', '../../fuzz/corpus/*.hex', '../../interop/*.json'], {
  query: '?raw',
  import: 'default',
  eager: true,
})

const pathOf = (folder: string, name: string) => `../../${folder}/${name}`

export function readText(folder: string, name: string): string {
  const text = texts[pathOf(folder, name)]
  if (text === undefined) throw new Error(`${folder}/${name} is not bundled: add it to the glob in this file`)
  return text
}

export function namesIn(folder: string): string[] {
  return Object.keys(texts)
    .filter((path) => path.startsWith(pathOf(folder, '')))
    .map((path) => path.slice(pathOf(folder, '').length))
}
