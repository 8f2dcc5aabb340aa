// The intermediate values of SPEC, appendix D, computed from the frozen vectors that it names: by the second reader, and by
// node:crypto and @noble/post-quantum where that reader has no function for a value. Nothing here comes from src/.
import * as crypto from 'node:crypto'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { readText } from './files.ts'
import { keysetKeys, logIdOf, openRecord } from './spec-reader-record.ts'
import { keyIdOf, openVaultBlock, polyTag, u64 } from './spec-reader-vault.ts'
import { cat, D, EMPTY, Fields, hash, hmac, KDF, type Keys, LP, openBlock, openKeyset } from './spec-reader.ts'
import { type OpenedKeyset, u8, x25519, xor } from './spec-reader.ts'

/** The values of one example, by the names that the appendix gives them. */
export type Values = Readonly<Record<string, Uint8Array>>

/** Returns the vector with this id, whose fields are texts. */
export function vectorIn(file: string, id: string): Readonly<Record<string, string>> {
  const vectors = JSON.parse(readText('vectors', file)) as Record<string, string>[]
  const found = vectors.find((vector) => vector['id'] === id)
  if (found === undefined) throw new Error(`${file} has no vector ${id}`)
  return found
}

const unhex = (text: string | undefined): Buffer => Buffer.from(text!, 'hex')

function keysetOf(id: string): OpenedKeyset {
  const vector = vectorIn('keyset.json', id)
  return openKeyset(unhex(vector['export']), vector['password']!)
}

/** §3.2 Every value of an agreement with both methods, as the recipient computes them */
function agreement(header: Buffer, pair: Keys, epk: Buffer, ctM: Buffer, context: Buffer) {
  const parts = [header, epk, pair.pkX, ctM, pair.pkM, context]
  const T = hash('sha512', D('kem-transcript'), ...parts.map(LP))
  const F = (k: Uint8Array, label: string): Buffer => hmac('sha512', k, D(label), LP(T)).subarray(0, 32)
  const ssX = x25519(pair.skX, epk)
  const ssM = ml_kem1024.decapsulate(ctM, ml_kem1024.keygen(pair.seedM).secretKey)
  const [kX, kM] = [F(ssX, 'kem/x25519'), F(ssM, 'kem/ml-kem-1024')]
  const X = xor(kX, kM)
  const values = { ss_x: ssX, ss_m: ssM, T, k_x: kX, k_m: kM, X, Z: F(X, 'kem/combined') }
  return { values, envelopeKey: F(X, 'kem/envelope') }
}

/** The tag and the ciphertext of AES-256-GCM, computed again from the plaintext */
function gcm(key: Buffer, iv: Buffer, P: Buffer, aad: Buffer): { ct: Buffer; tag: Buffer } {
  const cipher = crypto.createCipheriv('aes-256-gcm', key, iv)
  const ct = cat(cipher.setAAD(aad).update(P), cipher.final())
  return { ct, tag: cipher.getAuthTag() }
}

/** D.1: a block of a keyset, suite 0x0102 and mode 1 */
export function blockValues(): Values {
  const vector = vectorIn('block.json', 'hybrid-scoped')
  const keyset = keysetOf(vector['keyset']!)
  const bytes = unhex(vector['block'])
  const P = openBlock(bytes, vector['label']!, keyset)
  const [pair] = keyset.pairs
  const fields = new Fields(bytes)
  const [header, epk, ctM, mode, mask] = [48, 32, 1568, 1, 32].map((size) => fields.take(size)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ]
  const d = hash('sha256', P)
  const labelKey = KDF(keyset.blockSalt, EMPTY, 'block-label', [mode], 32)
  const label = hmac('sha256', labelKey, d)
  const { values, envelopeKey } = agreement(header, pair!, epk, ctM, label)
  const B = xor(mask, values.Z)
  const lock = KDF(B, EMPTY, 'block-scoped', [], 64)
  const [ke, c] = [lock.subarray(0, 32), lock.subarray(32)]
  return {
    ...{ sk_x: pair!.skX, seed_m: pair!.seedM, pk_x: pair!.pkX, 'SHA-256(pk_m)': hash('sha256', pair!.pkM) },
    ...{ 'block salt': keyset.blockSalt, 'dedup key': keyset.dedupKey, P, d, 'label key': labelKey, label },
    B: hmac('sha256', keyset.dedupKey, D('scoped-key'), d),
    ...{ header, epk, 'SHA-256(ct_m)': hash('sha256', ctM), ...values, mask: xor(B, values.Z) },
    ...{ 'F(X, "kem/envelope")': envelopeKey, 'envelope tag': hmac('sha256', envelopeKey, bytes.subarray(0, 1681)) },
    ...{ ke, c, AAD: D('scoped-block'), ...gcm(ke, Buffer.alloc(12), P, D('scoped-block')) },
  }
}

/** D.2: a content record of a keyset's log */
export function recordValues(): Values {
  const vector = vectorIn('record.json', 'first')
  const keyset = keysetOf(vector['keyset']!)
  const bytes = unhex(vector['record'])
  const log = vector['log']!
  const { content: P } = openRecord(bytes, log, 'start', keysetKeys(keyset))
  const logId = logIdOf(log)
  const fields = new Fields(bytes)
  const [header, sequence, number, , previous] = [48, 8, 8, 16, 32].map((size) => fields.take(size))
  const [epk, ctM, n] = [fields.take(32), fields.take(1568), fields.take(32)]
  const { values } = agreement(header!, keyset.pairs[0]!, epk, ctM, EMPTY)
  const lock = KDF(values.Z, n, 'record', [], 64)
  const [ke, c] = [lock.subarray(0, 32), lock.subarray(32)]
  const params = cat(bytes.subarray(48, 48 + 64 + 32 + 1568 + 32), c)
  const AAD = cat(D('aad'), header!, LP(params), LP(logId))
  const { seed } = keyset.sourceSigning
  const random = unhex((vector as unknown as { random: string[] }).random[0])
  const idKey = KDF(seed, EMPTY, 'record-id', [], 32)
  const message = cat(D('sign/record'), logId, bytes.subarray(0, -64))
  const key = { key: cat(unhex('302e020100300506032b657004220420'), seed), format: 'der', type: 'pkcs8' } as const
  return {
    ...{ 'log id': logId, P, 'SHA-256(P)': hash('sha256', P), 'signing seed': seed, 'id random': random },
    ...{ 'id key': idKey, id: hmac('sha256', idKey, random, logId, hash('sha256', P)).subarray(0, 16) },
    ...{ header: header!, sequence: sequence!, number: number!, previous: previous! },
    ...{ epk, 'SHA-256(ct_m)': hash('sha256', ctM), ...values, n, ke, c },
    ...{ 'SHA-256(params)': hash('sha256', params), 'SHA-256(AAD)': hash('sha256', AAD) },
    ...gcm(ke, n.subarray(0, 12), P, AAD),
    ...{ 'SHA-256(signed)': hash('sha256', message) },
    signature: crypto.sign(null, message, crypto.createPrivateKey(key)),
  }
}

/** D.3: a block of a vault */
export function vaultValues(): Values {
  const vector = vectorIn('vault-block.json', '100-bytes')
  const [A, vaultId, bytes] = [unhex(vector['dataKey']), unhex(vector['vaultId']), unhex(vector['block'])]
  const P = openVaultBlock(bytes, vector['label']!, vaultId, A)
  const [header, n] = [bytes.subarray(0, 48), bytes.subarray(48, 80)]
  const labelKey = KDF(A, EMPTY, 'block-label', [vaultId], 32)
  const label = hmac('sha256', labelKey, hash('sha256', P))
  const keys = KDF(A, n, 'ctr-poly1305', [u8(4), vaultId], 96)
  const [ke, km, c] = [keys.subarray(0, 32), keys.subarray(32, 64), keys.subarray(64)]
  const ct = crypto.createCipheriv('aes-256-ctr', ke, Buffer.alloc(16)).update(P)
  const AAD = cat(D('aad'), header, LP(cat(n, c)), LP(label))
  const input = cat(AAD, ct, u64(AAD.length), u64(ct.length))
  return {
    ...{ A, 'vault id': vaultId, 'key id of A': keyIdOf(A), P, 'SHA-256(P)': hash('sha256', P) },
    ...{ 'label key': labelKey, label, header, n, ke, km, c, ct, AAD, 'tag input': input, tag: polyTag(km, input) },
  }
}
