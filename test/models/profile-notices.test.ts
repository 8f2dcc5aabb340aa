// The explorer of profiles finds rules of the library that were broken in a copy of it, one at a time.
import { describe, it } from 'vitest'
import { expectCaught, TIMEOUT } from './expecting.ts'
import { type Bounds } from './explorer.ts'
import type { ProfileScene, Scene } from './profile-scene.ts'
import { type Edits, rebuilt, replacing } from './rebuilt.ts'

const ROTATION = 'src/vault/rotation.ts'
const STORED_PROFILE = 'src/vault/stored-profile.ts'
const STORED_VAULT = 'src/vault/stored-vault.ts'
const GUARD = 'src/server/guard.ts'

const bounds: Bounds = { seed: 1, runs: 400, violations: 1, oneIn: 12 }
const late: Bounds = { ...bounds, late: { back: 2, reads: 3 } }

/** Two devices, and nothing between them and the places. */
const two: Scene = { devices: 2, guard: 'nowhere', zeroTrust: true }
const thief: Scene = { devices: 1, thefts: 6 }

interface Fault {
  readonly edits: Edits
  readonly bounds?: Bounds
  readonly scene: Scene
  readonly caught: RegExp
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'a record whose version is not of the same reading as its contents': {
    edits: {
      [STORED_PROFILE]: replacing(
        ['  state: StoredRecord,\n  contents: ProfileContents,', '  read: StoredRecord,\n  contents: ProfileContents,'],
        [
          '  const next = { ...contents, version: nextVersion(state.record.version) }',
          '  const state = (await readStoredRecord(store)) ?? read\n  const next = { ...contents, version: nextVersion(state.record.version) }',
        ],
      ),
    },
    scene: two,
    caught: /VAULT LOST|former key is back|version \d+ follows version/,
  },
  'a keyring whose version is not of the same reading as its contents': {
    edits: {
      [STORED_VAULT]: replacing([
        'const version = (after?.version ?? 0) + 1\n',
        'const fresh = await store.read(keyringName(toHex(vaultId)))\n  const version = (fresh?.version ?? 0) + 1\n',
      ]),
    },
    scene: two,
    caught: /VAULT LOST/,
  },
  'a rotation that writes the profile before the keyring in steps 4 and 5': {
    edits: {
      [ROTATION]: replacing([
        `    const keyring = await this.#writeKeyring(state, profile, before, [key])
    if (keyring === undefined) return undefined
    const written = await this.#writeProfile(state, profile, [key])
    if (written === undefined) return undefined
`,
        `    const written = await this.#writeProfile(state, profile, [key])
    if (written === undefined) return undefined
    const keyring = await this.#writeKeyring(state, profile, before, [key])
    if (keyring === undefined) return undefined
`,
      ]),
    },
    scene: { ...two, begun: true },
    caught: /VAULT LOST/,
  },
  'a device that falls back to an older keyring if the newest does not open': {
    edits: {
      [STORED_VAULT]: replacing([
        'const keyring = stored && openKeyring(stored.keyring, vault, vault.keys)\n      if (stored',
        `let keyring = stored && openKeyring(stored.keyring, vault, vault.keys)
      for (let version = stored?.version ?? 0; version > 1 && keyring === undefined; version--) {
        const older = await view.store.readVersion(keyringName(vaultId), version - 1)
        if (older !== undefined) keyring = openKeyring(parseKeyring(older), vault, vault.keys)
      }
      if (stored`,
      ]),
    },
    bounds: late,
    scene: two,
    caught: /VAULT LOST|a keyring was dropped that a rotation still needs/,
  },
  'a rotation that returns with a key which was there before': {
    edits: {
      [ROTATION]: replacing([
        'return key.generation >= this.#fresh ? written.record : undefined',
        'return written.record',
      ]),
    },
    scene: { devices: 1, guard: 'nowhere', zeroTrust: true, begun: true },
    caught: /a key that was live before the rotation of \w+ opens the newest keyring/,
  },
  'a rotation that gives up the key before the new one is in the profile': {
    edits: { [ROTATION]: replacing(['state.stored, [current, fresh])', 'state.stored, [fresh])']) },
    scene: { ...two, devices: 1 },
    caught: /VAULT LOST/,
  },
  'a rotation of the vaults that were listed at first': {
    edits: {
      'src/vault/profile.ts': replacing([
        'const vaultId = factsOf(newest).vaults.find(',
        'const vaultId = factsOf(from).vaults.find(',
      ]),
    },
    bounds: { ...late, oneIn: 3 },
    scene: { devices: 1, newVault: true, guard: 'nowhere', zeroTrust: true },
    caught: /a key that was live before the rotation of \w+ opens the newest keyring/,
  },
  'a vault that keeps its keys when it is created again': {
    edits: {
      [STORED_VAULT]: replacing(
        [
          'const vault = { id: randomBytes(16), dataKey: generateDataKey() }',
          'const vault = { id: randomBytes(16), dataKey: generateDataKey(), first: (tried[0] ?? {}).first ?? generateKeyringKey(1) }',
        ],
        ['  { id, dataKey }: Omit<CreatedVault', '  { id, dataKey, first }: Omit<CreatedVault'],
        ['  const first = generateKeyringKey(1)\n  using _ = first.key\n', ''],
      ),
    },
    bounds: { ...bounds, seed: 2, runs: 1500 },
    scene: { newVault: true, recovery: 'another admin', guard: 'nowhere' },
    caught:
      /a key that was for a former admin opens the newest keyring|a key that a former admin may have is not marked/,
  },
  'a change of recovery that does not mark the keys': {
    edits: { 'src/vault/profile.ts': replacing(['({ ...key, due: true })', '({ ...key })']) },
    scene: { recovery: 'another admin', guard: 'nowhere' },
    caught: /a key that a former admin may have is not marked/,
  },
  'a guard that takes keyrings of anybody': {
    edits: {
      [GUARD]: replacing(['if (isSignedBy(stored.record.identity, keyring)) return true', 'if (keyring) return true']),
    },
    scene: thief,
    caught: /the thief wrote keyring|VAULT LOST/,
  },
  'a guard that takes keyrings of any version': {
    edits: { [GUARD]: replacing(['  assertNextKeyring(next, before?.keyring)\n', '']) },
    scene: thief,
    caught: /the thief wrote keyring|VAULT LOST/,
  },
  'a guard that takes any record': {
    edits: { [GUARD]: replacing(['  if (stored !== undefined) assertFollows(next, stored.record)\n', '']) },
    scene: thief,
    caught: /the thief wrote profile/,
  },
  'a guard that lets sessions drop': {
    edits: {
      [GUARD]: replacing([
        'async drop(name) {\n      assertAllowed(name)',
        'async drop(name, below) {\n      assertAllowed(name)\n      await checked.drop(name, below)',
      ]),
    },
    scene: { ...thief, begun: true },
    caught: /was dropped/,
  },
  'a guard that shows the verifiers': {
    edits: {
      [GUARD]: replacing([
        '      assertAllowed(name)\n      return checked.read(name)',
        '      return checked.read(name)',
      ]),
    },
    scene: thief,
    caught: /the thief sees a verifier/,
  },
  'a guard that calls a former identity a stranger': {
    edits: {
      [GUARD]: replacing(['if (below !== undefined && isSignedBy(below.identity, keyring)) return false\n', '\n']),
      [STORED_VAULT]: replacing([
        "refusal.detail['rule'] !== 'identity') throw refusal",
        "refusal.detail['rule'] !== '') throw refusal",
      ]),
    },
    scene: { devices: 2, recovery: 'another admin' },
    caught: /false alarm: policy/,
  },
  'a guard that believes a late read': {
    edits: {
      [GUARD]: replacing(["(error.code === 'policy' || error.code === 'missing')", 'false']),
    },
    bounds: late,
    scene: { newPassword: 'once', recovery: 'another admin' },
    caught: /false alarm: policy/,
  },
  'a program that saves the credential after the record': {
    edits: {},
    scene: { newPassword: 'wrong order', guard: 'nowhere' },
    caught: /LOCKED OUT/,
  },
  'a server that does not look for the verifier': {
    edits: {
      [GUARD]: replacing([
        'if (isSame || (await hasVerifierFor(store, next))) return stored',
        'if (isSame || next) return stored',
      ]),
    },
    scene: { newPassword: 'wrong order' },
    caught: /LOCKED OUT/,
  },
}

describe('the explorer notices', { timeout: TIMEOUT }, () => {
  it.each(Object.entries(FAULTS))('%s', async (name, { edits, scene, caught, ...more }) => {
    const { exploreProfile } = await rebuilt<ProfileScene>('profile-scene.ts', edits)
    expectCaught(await exploreProfile(name, more.bounds ?? bounds, scene), caught)
  })
})
