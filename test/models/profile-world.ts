// The server and the bucket of one user, watched by somebody who knows every password. After every change they check
// what must always hold.
import { createHash } from 'node:crypto'
import { equalBytes, toHex } from '../../src/core/bytes.ts'
import { withBytes } from '../../src/core/secret.ts'
import { openKeyring, type ParsedKeyring, parseKeyring, type SlotKey } from '../../src/vault/keyring.ts'
import {
  assertComesAfter,
  assertFollows,
  openProfileRecord,
  type ParsedProfile,
  type ProfileContents,
  readProfileRecord,
  type VaultEntry,
} from '../../src/vault/profile-record.ts'
import type { Run } from './explorer.ts'
import { type Cast, copyInto, type Password, type Start } from './profile-cast.ts'
import { ModelState } from './stores.ts'

/** A record as it is stored, and what is in it. */
interface Known {
  readonly record: ParsedProfile
  readonly contents: ProfileContents
}

/** Keys that must not open a keyring any more, and why. */
interface Retired {
  /** Of which vault. Of every vault if undefined. */
  readonly vaultId?: string
  readonly keys: readonly SlotKey[]
  readonly why: string
}

/** Returns nothing if reading throws, because the bytes are damaged or do not fit. */
function attempted<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const holds = (check: () => void): boolean => attempted(() => (check(), true)) === true

const idOf = (vault: { readonly id: Uint8Array }) => toHex(vault.id)
const textOf = (key: SlotKey) => withBytes(key.key, toHex)
const adminOf = ({ recovery }: Pick<ProfileContents, 'recovery'>) =>
  recovery.kind === 'card' ? createHash('sha256').update(recovery.value).digest('hex').slice(0, 6) : 'nobody'

/** A place that tells the world of every change. */
class Watched extends ModelState {
  readonly #changed: () => void

  constructor(shown: (bytes: Uint8Array) => string, changed: () => void) {
    super(shown)
    this.#changed = changed
  }

  override write(name: string, version: number, bytes: Uint8Array): boolean {
    const isWritten = super.write(name, version, bytes)
    if (isWritten) this.#changed()
    return isWritten
  }

  override drop(name: string, below: number): void {
    super.drop(name, below)
    this.#changed()
  }
}

export class World {
  readonly server: ModelState
  readonly bucket: ModelState
  readonly #run: Run
  readonly #cast: Cast
  readonly #keepsKeyrings: boolean
  readonly #records: Map<string, Known | undefined> = new Map()
  readonly #retired: Retired[] = []
  /** Every key in every record that anybody tried to write, and the admin that it was for. */
  readonly #tried: Map<string, { readonly key: SlotKey; readonly admins: Set<string> }> = new Map()
  /** Vaults that somebody was told to have. */
  readonly #vaults: Set<string> = new Set()
  /** The record that counts, and the passwords and admins that counted before it. */
  #counted: Known
  readonly #former: Set<string> = new Set()
  readonly #firstAdmin: string
  /** Keys that were in the profile once. */
  readonly #gone: Set<string> = new Set()

  /** @param keepsKeyrings whether a guard decides which keyrings are dropped */
  constructor(run: Run, cast: Cast, { server, bucket }: Start, keepsKeyrings: boolean) {
    this.#run = run
    this.#keepsKeyrings = keepsKeyrings
    this.#cast = cast
    const changed = () => this.#check()
    this.server = new Watched((bytes) => this.#show(bytes), changed)
    this.bucket = new Watched((bytes) => this.#show(bytes), changed)
    copyInto(this.server, server)
    copyInto(this.bucket, bucket)
    for (const bytes of this.server.object('profile').versions) this.tried(bytes)
    this.#counted = this.counted()
    this.#firstAdmin = this.admin
    for (const { id } of this.#counted.contents.vaults) this.#vaults.add(toHex(id))
    this.#check()
  }

  /** Remembers a record that somebody tries to write: whoever sees it may keep the keys in it. */
  tried(bytes: Uint8Array): void {
    const known = this.#known(bytes)
    if (known === undefined) return
    const admin = adminOf(known.contents)
    for (const vault of known.contents.vaults)
      for (const key of vault.keys) {
        const tried = this.#tried.get(textOf(key)) ?? { key, admins: new Set() }
        tried.admins.add(admin)
        this.#tried.set(textOf(key), tried)
      }
  }

  /** Opens a record with whatever password it is under. */
  #known(bytes: Uint8Array): Known | undefined {
    const name = createHash('sha256').update(bytes).digest('hex')
    if (!this.#records.has(name)) {
      const known = attempted(() => {
        const record = readProfileRecord(bytes)
        return { record, contents: openProfileRecord(record, this.passwordOf(record).rootKey) }
      })
      this.#records.set(name, known)
    }
    return this.#records.get(name)
  }

  passwordOf({ header }: ParsedProfile): Password {
    const keyId = toHex(header.keyId)
    const found = this.#cast.passwords.find((each) => each.keyId === keyId)
    return found ?? this.#run.violation('a record is under a password that nobody has')
  }

  /** Returns the record that counts (SPEC §13.4). */
  counted(): Known {
    const counted = this.#countingFrom(this.server.object('profile').versions.length)
    return counted ?? this.#run.violation('no record counts')
  }

  #countingFrom(version: number): Known | undefined {
    const bytes = this.server.readVersion('profile', version)
    if (bytes === undefined) return undefined
    const known = this.#known(bytes)
    const below = this.server.readVersion('profile', version - 1)
    if (known === undefined || below === undefined) return known ?? this.#countingFrom(version - 1)
    const before = this.#known(below)
    if (before !== undefined && holds(() => assertFollows(known.record, before.record))) return known
    const counting = this.#countingFrom(version - 1)
    if (counting === undefined) return known
    const isAllowed = () => (before === undefined ? assertComesAfter : assertFollows)(known.record, counting.record)
    return holds(isAllowed) ? known : counting
  }

  /** Returns the keyring that counts: the newest that can be parsed. */
  keyring(vaultId: string): ParsedKeyring | undefined {
    const name = `keyring/${vaultId}`
    const newest = this.bucket.object(name).versions.length
    for (const version of [newest, newest - 1]) {
      const bytes = this.bucket.readVersion(name, version)
      const parsed = bytes && attempted(() => parseKeyring(bytes))
      if (parsed !== undefined) return parsed
    }
    return undefined
  }

  #live(vault: VaultEntry, keys: readonly SlotKey[]): readonly SlotKey[] {
    const keyring = this.keyring(idOf(vault))
    const opened = keyring && attempted(() => openKeyring(keyring, vault, keys))
    opened?.dataKey.dispose()
    return opened?.live ?? []
  }

  /** Returns the live keys of every vault of the record that counts. */
  live(): ReadonlyMap<string, readonly SlotKey[]> {
    return new Map(this.#counted.contents.vaults.map((vault) => [idOf(vault), this.#live(vault, vault.keys)]))
  }

  /** A machine was told that these vaults are rotated. `before` are the keys that were live when it began. */
  rotated(name: string, before: ReadonlyMap<string, readonly SlotKey[]>, vaultIds: readonly string[]): void {
    for (const vaultId of vaultIds)
      this.#retired.push({ vaultId, keys: before.get(vaultId) ?? [], why: `was live before the rotation of ${name}` })
    this.#check()
  }

  /** A machine was told that the recovery has changed. */
  recovered(name: string): void {
    const former = this.#firstAdmin
    if (this.admin === former) this.#run.violation(`the acknowledged change of ${name} is lost`)
    for (const { admins, key } of this.#tried.values())
      if (admins.has(former)) this.#retired.push({ keys: [key], why: 'was for a former admin' })
    this.#check()
  }

  /** A machine was told that it has a vault. */
  created(vaultId: string): void {
    this.#vaults.add(vaultId)
    this.#check()
  }

  /** A machine was told that its record is stored. */
  saved(name: string, record: Uint8Array): void {
    const isStored = this.server.object('profile').versions.some((bytes) => equalBytes(bytes, record))
    if (!isStored) this.#run.violation(`the acknowledged record of ${name} is lost`)
  }

  /** Returns whether the profile has been under another password, or had another identity, than in this run's start. */
  get hasOtherPassword(): boolean {
    return this.#former.size > 0 && [...this.#former].some((each) => each.startsWith('password'))
  }

  get hasOtherIdentity(): boolean {
    return [...this.#former].some((each) => each.startsWith('identity'))
  }

  get admin(): string {
    return adminOf(this.#counted.contents)
  }

  #check(): void {
    const before = this.#counted
    this.#counted = this.counted()
    if (this.#counted !== before) this.#checkFollows(before, this.#counted)
    const { record, contents } = this.#counted
    const vaults = new Map(contents.vaults.map((vault) => [idOf(vault), vault]))
    for (const vaultId of this.#vaults)
      if (!vaults.has(vaultId)) this.#run.violation('a vault is gone from the profile')
    for (const vault of vaults.values()) {
      if (this.#live(vault, vault.keys).length === 0)
        this.#run.violation(`VAULT LOST: the profile has ${showKeys(vault.keys)}, ${this.#showNewest(idOf(vault))}`)
    }
    this.#checkVerifier(record)
    for (const { vaultId, keys, why } of this.#retired) {
      for (const vault of contents.vaults) {
        if ((vaultId === undefined || vaultId === idOf(vault)) && this.#live(vault, keys).length > 0)
          this.#run.violation(`a key that ${why} opens the newest keyring`)
      }
    }
    this.#checkMarks(contents)
    this.#checkKept()
  }

  /** Nothing that was in a record is lost in the next one, and nothing former comes back. */
  #checkFollows(before: Known, after: Known): void {
    if (after.record.version !== before.record.version + 1)
      this.#run.violation(`version ${after.record.version} follows version ${before.record.version}`)
    const facts = ({ record, contents }: Known) => [
      `password ${toHex(record.header.keyId)}`,
      `identity ${toHex(record.identity)}`,
      `admin ${adminOf(contents)}`,
    ]
    const now = facts(after)
    for (const fact of facts(before)) if (!now.includes(fact)) this.#former.add(fact)
    for (const fact of now) {
      // A user may go back to a password.
      if (this.#former.has(fact) && !fact.startsWith('password')) this.#run.violation(`a former ${fact} is back`)
    }
    for (const vault of before.contents.vaults) {
      const later = after.contents.vaults.find(({ id }) => equalBytes(id, vault.id))
      if (later === undefined) this.#run.violation('a vault is gone from the profile')
      for (const key of vault.keys) {
        const kept = later.keys.find((each) => textOf(each) === textOf(key))
        if (kept === undefined) this.#gone.add(textOf(key))
        if (key.due && kept?.due === false) this.#run.violation('a key that is due has lost its mark')
      }
      if (later.keys.some((key) => this.#gone.has(textOf(key)))) this.#run.violation('a former key is back')
    }
  }

  /** Once there is another admin, every key that the former one may have is marked. */
  #checkMarks({ vaults, ...contents }: ProfileContents): void {
    if (adminOf(contents) === this.#firstAdmin) return
    for (const key of vaults.flatMap(({ keys }) => keys)) {
      if (!key.due && this.#tried.get(textOf(key))?.admins.has(this.#firstAdmin) === true)
        this.#run.violation('a key that a former admin may have is not marked')
    }
  }

  /** The password of the record that counts has its verifier. */
  #checkVerifier(record: ParsedProfile): void {
    const { name, keyId, verifier } = this.passwordOf(record)
    const stored = this.server.read(`login/${keyId}`)?.bytes ?? new Uint8Array(0)
    if (new TextDecoder().decode(stored.subarray(8)) !== verifier)
      this.#run.violation(`LOCKED OUT: the ${name} password has no verifier`)
  }

  /** The two newest records are kept. A guard of the keyrings keeps them from the last one that has a single wrap. */
  #checkKept(): void {
    const { versions, lowest } = this.server.object('profile')
    if (lowest > Math.max(1, versions.length - 1)) this.#run.violation('the second newest record was dropped')
    for (const vaultId of this.#keepsKeyrings ? this.#vaults : []) {
      const keyring = this.bucket.object(`keyring/${vaultId}`)
      const single = keyring.versions.findLastIndex((bytes) => attempted(() => parseKeyring(bytes))?.wraps.length === 1)
      if (keyring.lowest > single + 1) this.#run.violation('a keyring was dropped that a rotation still needs')
    }
  }

  #showNewest(vaultId: string): string {
    const keyring = this.keyring(vaultId)
    return keyring ? `the keyring ${showKeys(keyring.wraps)}` : 'and there is no keyring'
  }

  #show(bytes: Uint8Array): string {
    const known = this.#known(bytes)
    if (known !== undefined) {
      const { record, contents } = known
      const vaults = contents.vaults.map(({ id, keys }) => `${toHex(id).slice(0, 3)} ${showKeys(keys)}`).join(' ')
      return `record ${record.version} of ${toHex(record.identity).slice(0, 3)} under the ${this.passwordOf(record).name}, admin ${adminOf(contents)}: ${vaults}`
    }
    const keyring = attempted(() => parseKeyring(bytes))
    if (keyring !== undefined) return `keyring ${keyring.version} ${showKeys(keyring.wraps)}`
    return bytes.length === 68
      ? `a verifier for record ${new DataView(bytes.buffer).getBigUint64(0)}`
      : `${bytes.length} bytes`
  }
}

const showKeys = (keys: readonly { readonly generation: number; readonly due?: boolean }[]) =>
  `[${keys.map(({ generation, due }) => `${generation}${due === true ? ' due' : ''}`).join(', ')}]`
