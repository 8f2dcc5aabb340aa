// Reads files from folders under test/. In browsers, test/runtimes/browser/files.ts replaces this file.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export function readText(folder: string, name: string): string {
  return readFileSync(join(import.meta.dirname, folder, name), 'utf8')
}

export function namesIn(folder: string): string[] {
  return readdirSync(join(import.meta.dirname, folder))
}
