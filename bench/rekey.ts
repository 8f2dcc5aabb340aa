// Rekeying and sharing, which rewrite only envelopes, compared with the bare decapsulate and encapsulate that they
// need. Also the memory that a stream of many envelopes takes.
import { backend } from '../test/platforms.ts'
import { type BlockHead, type Keyset, openWriter } from '../src/index.ts'
import { strict as assert } from 'node:assert'
import { type Backend } from '../src/primitives/backend.ts'
import { bareAgreements } from './bare.ts'
import { compare } from './measure.ts'

export interface RekeyRow {
  work: 'rekey' | 'share'
  encryption: 'hybrid' | 'x25519'
  perSecond: number
  barePerSecond: number
  /** Our speed divided by the bare speed. */
  ratio: number
}

/**
 * Measures rekeying and sharing one block.
 * @param keyset a keyset whose minimum is x25519 or weaker, so that it can write `encryption`
 */
export async function benchRekey(keyset: Keyset, encryption: 'hybrid' | 'x25519', rounds: number): Promise<RekeyRow[]> {
  const content = new Uint8Array(1000).fill(7)
  const block = await openWriter(keyset.export('host'), { encryption }).seal(content)
  const next = keyset.regenerate({ encryption })
  const { keyset: owner, share } = next.createShare()
  const reader = keyset.acceptShare(share.invite(keyset.card()), owner.card())
  const works = {
    rekey: { add: (head: BlockHead) => next.rekey(head), reader: next },
    share: { add: (head: BlockHead) => share.add(head), reader },
  }
  const bare = bareRekey(backend(), encryption === 'hybrid')
  const rows: RekeyRow[] = []
  for (const [work, { add, reader: opener }] of Object.entries(works)) {
    const envelope = add(block)
    assert.equal(envelope.length, block.envelope.length)
    assert.deepEqual(await opener.open({ ...block, envelope }), content, 'the rekeyed block has the sealed content')
    const times = await compare(async () => add(block), bare, rounds)
    const perSecond = (milliseconds: number) => Math.round(1000 / milliseconds)
    rows.push({
      work: work as RekeyRow['work'],
      encryption,
      perSecond: perSecond(times.ours),
      barePerSecond: perSecond(times.bare),
      ratio: times.ratio,
    })
  }
  return rows
}

/** Prepares the key agreements of one rekeying: decapsulating the old envelope and encapsulating for the new one. */
function bareRekey(on: Backend, isHybrid: boolean): () => Promise<void> {
  const agreements = bareAgreements(on, isHybrid)
  return async () => {
    for (const { own, sender, ciphertext } of agreements) {
      own.decapsulate(ciphertext)
      sender.encapsulate()
    }
  }
}

export interface StreamRow {
  envelopes: number
  perSecond: number
  /** The peak growth in MiB since the start, during the first tenth of the stream. */
  peakOfFirstTenth: number
  /** The peak growth in MiB since the start, during the whole stream. */
  peak: number
}

/**
 * Rekeys a stream of `envelopes` envelopes, one after the other. They are copies of one envelope, created as needed.
 */
export async function benchStream(keyset: Keyset, envelopes: number): Promise<StreamRow> {
  const block = await openWriter(keyset.export('host'), { encryption: 'hybrid' }).seal(new Uint8Array(100))
  const next = keyset.regenerate()
  async function* stream(): AsyncGenerator<BlockHead> {
    for (let made = 0; made < envelopes; made++) {
      yield { label: block.label, envelope: new Uint8Array(block.envelope) }
    }
  }
  const before = process.memoryUsage.rss()
  const peaks = { first: 0, all: 0 }
  const started = performance.now()
  let rekeyed = 0
  let envelope = block.envelope
  for await (const head of stream()) {
    if (next.isCurrent(head.envelope)) continue
    envelope = next.rekey(head)
    if (++rekeyed % 100 !== 0) continue
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20
    peaks.all = Math.max(peaks.all, grown)
    if (rekeyed <= envelopes / 10) peaks.first = peaks.all
  }
  const seconds = (performance.now() - started) / 1000
  assert.equal(rekeyed, envelopes)
  assert.deepEqual(await next.open({ ...block, envelope }), new Uint8Array(100), 'the last envelope opens')
  return {
    envelopes,
    perSecond: Math.round(envelopes / seconds),
    peakOfFirstTenth: Math.round(peaks.first),
    peak: Math.round(peaks.all),
  }
}
