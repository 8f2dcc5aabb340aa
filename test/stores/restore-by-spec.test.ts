// "Restoring data" of SPEC.md, step by step: from the files of a folder and a secret to the bytes of files. The
// library writes. To restore, nothing of it is used but the second readers, which were written from SPEC.md alone.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { deriveClient } from '../../src/client.ts'
import { changeKeyset, openLog, packInto, type Keys, saveKeyset, sealInto } from '../../src/index.ts'
import { blocksIn } from '../../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { createProfile, deriveLogin, saveProfile } from '../../src/vault.ts'
import { all, makeKeyset, PASSWORD, sample } from '../fixtures.ts'
import { cat, equal, hash, openBlock, openKeyset } from '../spec-reader.ts'
import { openClientBlock, scopeOwner, typedKey } from '../spec-reader-client.ts'
import { readLog } from '../spec-reader-log.ts'
import { openPackMember } from '../spec-reader-pack.ts'
import { findCounting, readProfile } from '../spec-reader-profile.ts'
import { keysetKeys, type RecordKeys, scopeKeys, vaultKeys } from '../spec-reader-record.ts'
import { readRef } from '../spec-reader-ref.ts'
import { login, openVaultBlock, readKeyring } from '../spec-reader-vault.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keystrata-restore-'))
  folders.push(folder)
  return folder
}

// The files of a store (SPEC §6.3)

/** All versions of a state object that were not dropped */
function versionsOf(folder: string, name: string): Map<number, Uint8Array> {
  const path = join(folder, name)
  const files = readdirSync(path)
  const floor = files.includes('_floor') ? Number(readFileSync(join(path, '_floor'), 'utf8')) : 1
  const versions = files.filter((file) => /^_\d+$/.test(file)).map((file) => Number(file.slice(1)))
  const kept = versions.filter((version) => version >= floor).sort((a, b) => a - b)
  return new Map(kept.map((version) => [version, readFileSync(join(path, `_${version}`))]))
}
const newest = (folder: string, name: string): Uint8Array => [...versionsOf(folder, name).values()].at(-1)!

function blob(folder: string, name: string): Buffer {
  const numbers = readdirSync(join(folder, name)).filter((file) => /^_\d+$/.test(file))
  const highest = Math.max(...numbers.map((file) => Number(file.slice(1))))
  return readFileSync(join(folder, name, `_${highest}`))
}

/** The epochs of the only log in a store */
function logIn(folder: string): Map<string, Map<number, Uint8Array>> {
  const [id = '', ...others] = readdirSync(join(folder, 'log'))
  expect(others).toEqual([])
  const epochs = readdirSync(join(folder, 'log', id)).filter((epoch) => /^\d+$/.test(epoch))
  return new Map(epochs.map((epoch) => [`log/${id}/${epoch}`, versionsOf(folder, `log/${id}/${epoch}`)]))
}

const LOG = 'backups'
const LARGE = sample(100_000, 1)
const SMALL = [sample(10, 2), sample(2000, 3)]

/** Writes one file of its own and two in a pack, and a record with their refs, which is what this product keeps. */
async function backUp(keys: Keys, folder: string): Promise<string> {
  const blocks = blocksIn(folderBlobStore(folder))
  const sealed = [...(await all(sealInto(blocks, keys, [LARGE]))), ...(await all(packInto(blocks, keys, SMALL)))]
  const refs = sealed.map(({ ref }) => ref)
  return openLog(folderStateStore(folder), LOG, keys).append(Buffer.from(JSON.stringify(refs)))
}

/** Log, refs, head, ciphertext, block, pack member */
function restore(
  folder: string,
  own: Buffer,
  keys: RecordKeys,
  open: (block: Buffer, label: string) => Buffer,
): Buffer[] {
  const { records } = readLog(logIn(folder), LOG, { keys, own, adopted: [] })
  const refs = records.flatMap(({ content }) => JSON.parse(content.toString()) as string[])
  return refs.map((ref) => {
    const { label, member } = readRef(ref)
    const head = blob(folder, `head/${label}`)
    const [length, envelope, named] = [head.readUInt32BE(), head.subarray(4, -32), head.subarray(-32)]
    const ciphertext = blob(folder, `data/${named.toString('hex')}`)
    expect(ciphertext.length).toBe(length)
    expect(equal(hash('sha256', ciphertext), named)).toBe(true)
    const content = open(cat(envelope, ciphertext), label)
    return member === undefined ? content : openPackMember(content, member)
  })
}

const FILES = [LARGE, ...SMALL].map((file) => Buffer.from(file))

describe('files are restored from a folder by SPEC.md alone', () => {
  it('with the password of a keyset, after its key pair was regenerated and its log resealed', async () => {
    const folder = newFolder()
    const state = folderStateStore(folder)
    using created = await makeKeyset()
    await saveKeyset(state, created)
    const position = await backUp(created, folder)
    using changed = await changeKeyset(state, created, (keyset) => keyset.regenerate())
    await openLog(state, LOG, changed).reseal({ atLeast: position })

    const keyset = openKeyset(newest(folder, 'keyset'), PASSWORD)
    const files = restore(folder, keyset.id, keysetKeys(keyset), (block, label) => openBlock(block, label, keyset))
    expect(files).toEqual(FILES)
    expect([...logIn(folder).keys()]).toHaveLength(2)
  })

  it('with the password of a profile and the keyring of its vault', async () => {
    const [folder, names] = [newFolder(), { realm: 'com.example.backup', user: 'user-4711' }]
    const state = folderStateStore(folder)
    using own = await deriveLogin('correct horse', names)
    using first = createProfile(own, { zeroTrust: true })
    await saveProfile(state, first)
    using created = await first.createVault(state)
    await backUp(created.vault, folder)

    const { rootKey } = login('correct horse', names.realm, names.user)
    const versions = versionsOf(folder, 'profile')
    const { record } = findCounting({ first: [...versions.keys()][0]!, versions: [...versions.values()] })
    const [vault] = readProfile(record.all, rootKey).vaults
    const { id, dataKeyId, keys } = vault!
    const { dataKey } = readKeyring(newest(folder, `keyring/${id.toString('hex')}`), id, dataKeyId, keys)
    const open = (block: Buffer, label: string) => openVaultBlock(block, label, id, dataKey)
    expect(restore(folder, id, vaultKeys(id, dataKey), open)).toEqual(FILES)
  })

  it('with the text of a typed key', async () => {
    const [folder, realm, account] = [newFolder(), 'com.example.backup', 'customer-17']
    const privateKey = { type: 'AES-192', text: 'typed by the customer' } as const
    using client = await deriveClient({ realm, account, name: 'desktop', platform: 'linux', privateKey })
    await backUp(client.scope('private'), folder)

    const key = typedKey(privateKey.text, 2, 'private', realm, account)
    const ownerId = scopeOwner(key, account, 'private')
    const by = { realm, account, privateKey: { type: 2, key } }
    const open = (block: Buffer, label: string) => openClientBlock(block, label, by)
    expect(restore(folder, ownerId, scopeKeys(ownerId, key), open)).toEqual(FILES)
  })
})
