// Reads every frozen vector with the readers written from SPEC.md alone. The other tests read them with the library.
import { describe, expect, it } from 'vitest'
import { secondReader, type VectorFile } from './second-reader.ts'
import { outcome, readVectors } from './vectors.ts'

const readings = secondReader(readVectors)

describe.each(Object.keys(readings) as VectorFile[])('%s.json', (file) => {
  const read = readings[file] as (vector: { id: string }) => ReturnType<(typeof readings)['card']>
  it.each(readVectors(file) as { id: string; comment: string }[])('$id: $comment', async (vector) => {
    for (const reading of read(vector)) expect(await outcome(reading.read)).toBe(reading.expected)
  })
})
