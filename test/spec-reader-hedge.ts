// The second reader, continued: hedged random values (SPEC §4.3, §4.4, §10.2). A reader cannot check them, so this computes
// what a writer does. Like spec-reader.ts, it was written from SPEC.md alone, and the notes there apply.
import { cat, EMPTY, hash, hmac, KDF, LP } from './spec-reader.ts'

export interface Hedged {
  key: Buffer
  random: Buffer
  content: Buffer
  header: Buffer
  params: Buffer
  context: Buffer
}

/** §4.4: n of a LOCK under the key */
export const nonce = ({ key, random, content, header, params, context }: Hedged): Buffer =>
  hmac(
    'sha256',
    KDF(key, EMPTY, 'hedge', [], 32),
    random,
    ...[hash('sha256', content), header, params, context].map(LP),
  )

/** §10.2: K_b in mode 3; the key is the dedup key, and the context is the label */
export const blockKey = ({ key, random, content, context }: Hedged): Buffer =>
  hmac('sha256', KDF(key, EMPTY, 'hedge-block', [], 32), random, hash('sha256', content), context)

/** §4.3: esk of a SEAL; the content is the secret that is sealed */
export const ephemeral = ({ random, content, header, context }: Hedged): Buffer =>
  KDF(cat(random, content), EMPTY, 'hedge-seal', [header, context], 32)
