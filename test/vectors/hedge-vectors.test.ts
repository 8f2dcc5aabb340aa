// Hedged random values: this library and the second reader compute the same from the same random bytes.
import { describe, expect, it } from 'vitest'
import { hex, unhex } from '../fixtures.ts'
import * as hedgeReader from '../spec-reader-hedge.ts'
import { type HedgeOf, hedgedValue } from './hedged-value.ts'
import { type HedgeVector, hedgeVectors } from './vectors.ts'

const second = { nonce: hedgeReader.nonce, 'block-key': hedgeReader.blockKey, ephemeral: hedgeReader.ephemeral }
const FIELDS = ['key', 'random', 'content', 'header', 'params', 'context'] as const
const fieldsOf = (vector: HedgeVector) =>
  Object.fromEntries(FIELDS.map((name) => [name, unhex(vector[name])])) as HedgeOf

describe('hedge.json', () => {
  it.each(hedgeVectors())('$id: $comment', (vector) => {
    const fields = fieldsOf(vector)
    const buffers = Object.fromEntries(FIELDS.map((name) => [name, Buffer.from(fields[name])]))
    expect(hex(second[vector.kind](buffers as unknown as hedgeReader.Hedged))).toBe(vector.hedged)
    expect(hex(hedgedValue(vector.kind, fields))).toBe(vector.hedged)
  })
})
