// A device of a user in its own process: `user-device-process.ts URL USER PASSWORD FOLDER`. It logs in, waits for a line
// on its input, rotates the vaults, and prints the revision that it has seen.
import { once } from 'node:events'
import { type Places, UserDevice } from '../../examples/user-client.ts'
import { KeystrataError } from '../../src/index.ts'
import { useBackend } from '../../src/primitives/choice.ts'
import { blocksIn } from '../../src/stores.ts'
import { folderBlobStore, folderStateStore } from '../../src/stores/folder.ts'
import { nodeBackend } from '../platforms.ts'

// The hash of passwords costs as little as in the test itself.
const node = nodeBackend()!
useBackend({
  ...node,
  pbkdf2Sha512: (password, salt, _, length, wait) => node.pbkdf2Sha512(password, salt, 1, length, wait),
})

const [url = '', user = '', password = '', folder = ''] = process.argv.slice(2)
const places: Places = { url, device: folderStateStore(folder), blocks: blocksIn(folderBlobStore(folder)) }
const device = await UserDevice.logIn(places, user, password)
console.log('ready')
await once(process.stdin, 'data')
try {
  await device.rotate()
} catch (error) {
  // On a slow machine, the other devices may write first on every try. Then a product calls again.
  if (!(error instanceof KeystrataError) || error.code !== 'conflict') throw error
  await device.rotate()
}
console.log(device.revision)
device.dispose()
process.exit()
