import { strict as assert } from 'node:assert'
import { createKeyset, encodeBlock, KeystrataError, openWriter, parseBlock, unlockKeyset } from 'keystrata'

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const keyset = await createKeyset('password', { costs })
const writer = openWriter(keyset.export('host'))
const block = await writer.seal(Buffer.from('content'))
const reader = await unlockKeyset(keyset.export('source-storage'), 'password')
const content = await reader.open(parseBlock(encodeBlock(block), block.label))
assert.equal(Buffer.from(content).toString(), 'content')
await assert.rejects(unlockKeyset(keyset.export('host'), 'wrong'), (error) => {
  return error instanceof KeystrataError && error.code === 'wrong-password'
})
