import { createKeyset, KeystrataError, unlockKeyset } from 'keystrata'
import { deriveClient, generateTypedKey } from 'keystrata/client'
import { deriveLogin } from 'keystrata/vault'

const costs = { iterations: 2, memoryKiB: 19_456, lanes: 1 }
const password = 'correct horse battery staple'

test('a keyset restores what it sealed', async () => {
  const keyset = await createKeyset(password, { costs })
  const block = await keyset.seal(new TextEncoder().encode('my file'))
  const reader = await unlockKeyset(keyset.export('storage'), password)
  expect(new TextDecoder().decode(await reader.open(block))).toBe('my file')
  const wrong = await unlockKeyset(keyset.export('storage'), 'wrong').catch((error) => error)
  expect(wrong).toBeInstanceOf(KeystrataError)
  expect(wrong.code).toBe('wrong-password')
})

test('a client has its keys from what people type', async () => {
  const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' }
  const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256') })
  const content = new Uint8Array([1, 2, 3])
  expect(await client.open(await client.scope('private').seal(content))).toEqual(content)
})

test('a login has a credential', async () => {
  const login = await deriveLogin(password, { realm: 'com.example.backup', user: 'user-4711' })
  expect(login.credential).toMatch(/^[\w-]{32,}$/)
})
