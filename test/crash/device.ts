// A device in its own process, which kills itself by SIGKILL right after its nth write: `device.ts FOLDER WORK N`.
import { deriveLogin, openProfile, type VaultStore } from '../../src/vault.ts'
import { folderStateStore } from '../../src/stores/folder.ts'
import { StateVaultStore } from '../../examples/vault-store.ts'

const [folder = '', work = '', lastWrite = ''] = process.argv.slice(2)
const store = new StateVaultStore(folderStateStore(folder))
let writes = 0

async function dieAfter<T>(write: Promise<T>): Promise<T> {
  const answer = await write
  if (++writes === Number(lastWrite)) process.kill(process.pid, 'SIGKILL')
  return answer
}

const dying: VaultStore = {
  readProfile: () => store.readProfile(),
  readKeyring: (vaultId) => store.readKeyring(vaultId),
  writeProfile: (record, version) => dieAfter(store.writeProfile(record, version)),
  writeKeyring: (vaultId, keyring, version) => dieAfter(store.writeKeyring(vaultId, keyring, version)),
  dropKeyrings: (vaultId, below) => dieAfter(store.dropKeyrings(vaultId, below)),
}

const login = await deriveLogin('password', { realm: 'crash', user: 'user' })
const profile = openProfile((await store.readProfile())!, login)
if (work === 'rotate') await profile.rotate(dying)
else if (work === 'createVault') await profile.createVault(dying)
else await profile.changeRecovery(dying, { zeroTrust: true })
console.log(`still alive after ${writes} writes`)
