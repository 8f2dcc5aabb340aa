import { createKeyset, KeystrataError, unlockKeyset } from 'keystrata'
import { deriveClient, generateTypedKey } from 'keystrata/client'
import { deriveLogin } from 'keystrata/vault'
import { argon2, costs } from './costs.js'

const password = 'correct horse battery staple'

test('a keyset restores what it sealed', async () => {
  const keyset = await createKeyset(password, { costs, argon2 })
  const block = await keyset.seal(new TextEncoder().encode('my file'))
  const reader = await unlockKeyset(keyset.export('storage'), password, { argon2 })
  expect(new TextDecoder().decode(await reader.open(block))).toBe('my file')
  const wrong = await unlockKeyset(keyset.export('storage'), 'wrong', { argon2 }).catch((error) => error)
  expect(wrong).toBeInstanceOf(KeystrataError)
  expect(wrong.code).toBe('wrong-password')
})

test('a client has its keys from what people type', async () => {
  const names = { realm: 'com.example.backup', account: 'customer-17', name: 'desktop', platform: 'linux' }
  const client = await deriveClient({ ...names, privateKey: generateTypedKey('AES-256'), argon2 })
  const content = new Uint8Array([1, 2, 3])
  expect(await client.open(await client.scope('private').seal(content))).toEqual(content)
})

test('a login has a credential', async () => {
  const login = await deriveLogin(password, { realm: 'com.example.backup', user: 'user-4711' })
  expect(login.credential).toMatch(/^[\w-]{32,}$/)
})
