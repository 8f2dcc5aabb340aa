// Adds the vectors of hedged random values (SPEC §4.3, §4.4, §10.2) below to hedge.json, unless they are there already.
// generate.ts imports this file.
import { concat } from '../../src/core/bytes.ts'
import { encodeHeader, ObjectType } from '../../src/core/header.ts'
import { Suite } from '../../src/core/suite.ts'
import { hex, sample } from '../fixtures.ts'
import { append } from './append.ts'
import { type HedgeOf, hedgedValue } from './hedged-value.ts'
import type { HedgeVector } from './vectors.ts'

const [key, random, label] = [sample(32, 1), sample(32, 2), sample(32, 3)]
const header = encodeHeader({
  type: ObjectType.textValue,
  suite: Suite.wrap,
  keyId: sample(16, 4),
  ownerId: sample(16, 5),
})
const sealHeader = encodeHeader({
  type: ObjectType.invite,
  suite: Suite.seal,
  keyId: sample(16, 4),
  ownerId: sample(16, 5),
})
const none = new Uint8Array(0)

const vectors: HedgeVector[] = []
function vector(id: string, section: string, comment: string, kind: HedgeVector['kind'], of: Partial<HedgeOf>): void {
  const whole = { key, random, content: sample(100), header: none, params: none, context: none, ...of }
  const fields = Object.fromEntries(Object.entries(whole).map(([name, bytes]) => [name, hex(bytes)]))
  const hedged = hex(hedgedValue(kind, whole))
  vectors.push({ id, section, comment, kind, ...(fields as Record<keyof HedgeOf, string>), hedged, expect: 'ok' })
}

vector('wrap', '4.2', 'n of a WRAP, which has no other parameters', 'nonce', { header, context: sample(20, 6) })
vector('wrap-empty', '4.2', 'n of a WRAP of nothing, without a context', 'nonce', { header, content: none })
vector('record', '7.1', 'n of a record, with parameters', 'nonce', { header, params: sample(200, 7), context: label })
vector('vault-block', '15', 'n of a block of a vault', 'nonce', { header, context: label })
vector('off', '10.2', 'n of a block in mode 3, which has no header', 'nonce', { context: label })
vector('zeros', '4.4', 'random bytes that are all 0', 'nonce', { header, random: new Uint8Array(32), context: label })
vector('block-key', '10.2', 'K_b in mode 3', 'block-key', { context: label })
vector('block-key-empty', '10.2', 'K_b of an empty content', 'block-key', { content: none, context: label })
vector('seal', '4.3', 'esk of a SEAL', 'ephemeral', { key: none, header: sealHeader, context: sample(80, 8) })
vector('seal-long', '4.3', 'esk of a SEAL of a long secret', 'ephemeral', {
  ...{ key: none, content: concat(sample(900, 9), sample(900, 10)), header: sealHeader },
})
append('hedge.json', vectors)
