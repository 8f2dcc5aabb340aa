import { type BlockWriter, type Bytes, createKeyset, type ErrorCode, KeystrataError, openWriter } from 'keystrata'
import { createProfile, deriveLogin, type Recovery, type Profile } from 'keystrata/vault'
import { deriveLegacyClient, type LegacyKey } from 'keystrata/legacy'
import { createPool, type Pool } from 'keystrata/pool'
import { checkProfile, type Safeguarding } from 'keystrata/server'
import { KeystrataError as ServerError } from 'keystrata'

const keyset = await createKeyset('password', {
  costs: { iterations: 2, memoryKiB: 19_456, lanes: 1 },
  dedup: 'global',
})
const writer: BlockWriter = openWriter(keyset.export('host'))
const block = await writer.seal(Uint8Array.of(1, 2, 3))
const content: Bytes = await keyset.open(block)
if (content.join() !== '1,2,3') throw new Error('the opened content differs')

try {
  // @ts-expect-error no such destination
  keyset.export('cloud')
  throw new Error('an error was expected')
} catch (error) {
  if (!(error instanceof TypeError)) throw error
}

const code: ErrorCode = new KeystrataError('policy').code
if (code !== 'policy') throw new Error('the error code differs')
{
  using scoped = keyset.writer()
  await scoped.prepare(content)
}

const pool: Pool = createPool({ threads: 1, worker: new URL(import.meta.resolve('keystrata/pool/worker')) })
try {
  if ((await pool.reader(keyset).open(block)).join() !== '1,2,3')
    throw new Error('the content that a thread opened differs')
} finally {
  await pool.close()
}

const recovery: Recovery = { zeroTrust: true }
const login = await deriveLogin('password', { realm: 'package', user: 'user' })
const profile: Profile = createProfile(login, recovery)
if (!checkProfile(profile.record).zeroTrust) throw new Error('zero trust is not set in the profile')
// Both entries export one class, so that callers can compare with instanceof.
if (ServerError !== KeystrataError) throw new Error('the entries export two different KeystrataError classes')
// @ts-expect-error zeroTrust is true or absent
if (profile.version === 0) createProfile(login, { zeroTrust: false })

const safeguarding: Safeguarding = 'mandatory'
// @ts-expect-error a legacy key must be of type DES-56
const legacyKey: LegacyKey = { type: 'AES-256', text: safeguarding }
await deriveLegacyClient({ realm: 'r', account: 'a', name: 'c', key: legacyKey }).then(
  () => Promise.reject(new Error('an error was expected')),
  () => undefined,
)
