// The frozen vectors, as they are in the files beside this one. Each holds one fault, or none.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ErrorCode } from '../../src/index.ts'

interface Vector {
  id: string
  /** Of SPEC.md. */
  section: string
  comment: string
  expect: 'ok' | ErrorCode
}

export interface KeysetVector extends Vector {
  password: string
  export: string
}

export interface BlockVector extends Vector {
  /** The id of a keyset vector. */
  keyset: string
  label: string
  /** envelope ‖ ciphertext */
  block: string
  content: string
}

function read<V>(name: string): V[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8')) as V[]
}

export const keysetVectors = (): KeysetVector[] => read('keyset.json')
export const blockVectors = (): BlockVector[] => read('block.json')
