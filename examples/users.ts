// Plays the life of a user, two devices and an admin, with user-service.ts. Run: `npm run users`. It starts a service of
// its own, or uses the one whose URL it is given: `ADMIN_PASSWORD=… npm run users -- http://127.0.0.1:8080`.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { createKeyset, parseCard } from 'keystrata'
import { hashPassword } from 'keystrata/server'
import { blocksIn, memoryStateStore } from 'keystrata/stores'
import { folderBlobStore, folderStateStore } from 'keystrata/stores/folder'
import { close, listen } from './http.ts'
import { refused } from './refused.ts'
import { say } from './terminal.ts'
import { AdminConsole } from './user-admin.ts'
import { type Places, UserDevice } from './user-client.ts'
import { createUserService, userServiceSchema } from './user-service.ts'

/** Plays with the service at `url`, whose admin has this password. */
async function story(url: string, adminPassword: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'keystrata-users-'))
  const source = join(folder, 'source')
  await mkdir(source)
  await writeFile(join(source, 'diary'), 'dear diary')
  const restored = async (device: UserDevice, vaultId: string, name: string, atLeast?: string) => {
    await device.restore(join(folder, name), vaultId, atLeast)
    const content = await readFile(join(folder, name, 'diary'), 'utf8')
    if (content !== 'dear diary') throw new Error('the restored file differs')
  }
  const user = `user-${randomBytes(4).toString('hex')}`

  // The admin's keyset stays on the admin's machine. Users compare the fingerprint of its card with the admin.
  using keyset = await createKeyset('password of the admin’s keyset')
  const admin = await AdminConsole.logIn(url, adminPassword, keyset, memoryStateStore())
  const card = parseCard(keyset.card().bytes, { fingerprint: keyset.card().fingerprint })

  const blocks = blocksIn(folderBlobStore(join(folder, 'blocks')))
  const desktop: Places = { url, blocks, device: folderStateStore(join(folder, 'desktop')) }
  const first = await UserDevice.signUp(desktop, user, 'first password', { admin: card })
  const vaultId = await first.createVault()
  const position = await first.backUp(source, vaultId)
  await restored(first, vaultId, 'on the desktop')
  say(`${user} has signed up, backed up a folder, and restored it`)

  const laptop: Places = { url, blocks, device: folderStateStore(join(folder, 'laptop')) }
  const second = await UserDevice.logIn(laptop, user, 'first password')
  await second.rotate()
  await restored(second, vaultId, 'on the laptop', position)
  say('a second device has rotated the vault, and restored the backup of the first')

  await second.changePassword('second password')
  const isOver = await first.rotate().then(
    () => false,
    () => first.mustLogIn,
  )
  if (!isOver) throw new Error('a session must end when the password changes')
  say('the second device has changed the password, and the session of the first has ended')

  // The user reads out what their device shows.
  await admin.pin(user, second.identity)
  await admin.reset(user, 'from the admin')
  say('the admin has compared and pinned the identity, and then reset the password')
  const third = await UserDevice.logIn(laptop, user, 'from the admin')
  await third.changePassword('third password')
  await third.rotate()
  await refused('key-changed', () => admin.reset(user, 'again'))
  say(`the user has changed the password; the admin must compare again: ${(await admin.show(user)).compare}`)
  await admin.pin(user, third.identity)

  await third.changeRecovery({ zeroTrust: true })
  await admin.pin(user, third.identity)
  await refused('policy', () => admin.reset(user, 'never'))
  await restored(third, vaultId, 'under zero trust')
  say('the user has turned on zero trust: the admin can no longer reset the password')
  for (const device of [first, second, third]) device.dispose()

  // Another user keeps only the profile on the service. Keyrings, logs and blocks are in a bucket, here a folder.
  const bucket = join(folder, 'bucket')
  const places: Places = {
    url,
    device: folderStateStore(join(folder, 'phone')),
    blocks: blocksIn(folderBlobStore(bucket)),
    elsewhere: folderStateStore(bucket),
  }
  const other = await UserDevice.signUp(places, `${user}-2`, 'password', { zeroTrust: true })
  const otherVault = await other.createVault()
  await other.backUp(source, otherVault)
  await other.rotate()
  await restored(other, otherVault, 'from the bucket')
  other.dispose()
  say('another user has only the profile on the service, and the rest in a bucket')
  say(`everything that was restored is in ${folder}, and is not encrypted: delete it`)
}

/** Starts a service over a PostgreSQL in this process, for one story. */
async function storyOfItsOwn(): Promise<void> {
  const database = new PGlite()
  await database.exec(userServiceSchema())
  const password = 'password of the admin'
  const server = createUserService(database, { adminHash: await hashPassword(password) })
  try {
    await story(await listen(server), password)
  } finally {
    await close(server)
    await database.close()
  }
}

const [url] = process.argv.slice(2)
if (url === undefined) await storyOfItsOwn()
else await story(url, process.env['ADMIN_PASSWORD'] ?? '')
