// What the readers written from SPEC.md alone read in each vector. Tests compare it with what the vector expects, and
// deletions.ts does the same with changed readers. It imports nothing of the library.
import * as client from '../spec-reader-client.ts'
import * as custody from '../spec-reader-custody.ts'
import * as fleet from '../spec-reader-fleet.ts'
import * as hedge from '../spec-reader-hedge.ts'
import { type LogKeys, readLog } from '../spec-reader-log.ts'
import { openPackMember, packWith } from '../spec-reader-pack.ts'
import * as profiles from '../spec-reader-profile.ts'
import * as records from '../spec-reader-record.ts'
import * as recovery from '../spec-reader-recovery.ts'
import { hashOf, readRef } from '../spec-reader-ref.ts'
import { parseRevision, revisionOf, textOf } from '../spec-reader-revision.ts'
import * as sharing from '../spec-reader-share.ts'
import * as vaults from '../spec-reader-vault.ts'
import * as reader from '../spec-reader.ts'
import type * as vectors from './vectors.ts'

/** One thing that is read, and what the vector expects of it: `ok`, or the name of an error. */
export interface Reading {
  expected: string
  /** Throws an error whose message is the name, or one that says what differs. */
  read: () => void
}

/** The vectors of each file, by its name without `.json`. */
export interface VectorOf {
  keyset: vectors.KeysetVector
  revision: vectors.RevisionVector
  hedge: vectors.HedgeVector
  ref: vectors.RefVector
  block: vectors.BlockVector
  pack: vectors.PackVector
  record: vectors.KeysetRecordVector
  'owned-record': vectors.OwnedRecordVector
  log: vectors.LogVector
  'owned-pack': vectors.OwnedPackVector
  invite: vectors.InviteVector
  'shared-block': vectors.SharedBlockVector
  'shared-record': vectors.SharedRecordVector
  login: vectors.LoginVector
  card: vectors.CardVector
  profile: vectors.ProfileVector
  recovery: vectors.RecoveryVector
  reset: vectors.ResetVector
  follows: vectors.FollowsVector
  counts: vectors.CountsVector
  guard: vectors.GuardVector
  verifier: vectors.VerifierVector
  keyring: vectors.KeyringVector
  'vault-block': vectors.VaultBlockVector
  'typed-key': vectors.TypedKeyVector
  'client-block': vectors.ClientBlockVector
  proof: vectors.ProofVector
  account: vectors.AccountVector
  device: vectors.DeviceVector
  escrow: vectors.EscrowVector
  registration: vectors.RegistrationVector
  'legacy-block': vectors.LegacyBlockVector
  'recovery-key': vectors.RecoveryKeyVector
  'recovery-code': vectors.CodeVector
  'recovery-part': vectors.PartsVector
  slots: vectors.SlotsVector
  armor: vectors.ArmorVector
  delegation: vectors.DelegationVector
  'delegated-head': vectors.DelegatedHeadVector
}
export type VectorFile = keyof VectorOf

/** Returns the vectors of a file. */
export type ReadVectors = <File extends VectorFile>(file: File) => VectorOf[File][]

const buffer = (text: string) => Buffer.from(text, 'hex')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** Throws if a reader read something else than the vector says. */
function expectSame(found: unknown, expected: unknown): void {
  const [read, stated] = [JSON.stringify(found), JSON.stringify(expected)]
  if (read !== stated) throw new Error(`read ${read}, not ${stated}`)
}

/** Returns the second reader's readings of the vectors of each file. Some vectors refer to others, by their ids. */
export function secondReader(read: ReadVectors): { [File in VectorFile]: (vector: VectorOf[File]) => Reading[] } {
  const remembered: Map<VectorFile, Map<string, unknown>> = new Map()
  /** Returns the vector of that id. */
  function named<File extends VectorFile>(file: File, id: string): VectorOf[File] {
    let known = remembered.get(file)
    if (known === undefined) {
      known = new Map(read(file).map((vector) => [vector.id, vector]))
      remembered.set(file, known)
    }
    return known.get(id) as VectorOf[File]
  }

  function keysetOf(id: string): reader.OpenedKeyset {
    const { export: bytes, password } = named('keyset', id)
    return reader.openKeyset(buffer(bytes), password)
  }
  function shareOf(id: string): sharing.OpenedShare {
    const { keyset, card, invite } = named('invite', id)
    return sharing.openInvite(buffer(invite), buffer(card), keysetOf(keyset))
  }
  /** The cards of the planted keyset: its own first, and then those of the sources that it has adopted. */
  function plantedCards(): { fingerprint: string; pair: vaults.AdminPair }[] {
    const { sharing: pair, cardSigning, sourceSigning, adopted } = keysetOf('host-full')
    const own = { sharing: pair, cardSigning, sourceSigning: sourceSigning.publicKey }
    return [own, ...adopted].map((each) => {
      const fingerprint = vaults.fingerprintOf(each.sharing!, each.cardSigning!.publicKey, each.sourceSigning!)
      return { pair: each.sharing!, fingerprint }
    })
  }

  // Who reads records and logs. Each lists which ownerIds may be those of epochs.
  function keysetKeys(id: string): LogKeys {
    const keyset = keysetOf(id)
    return { keys: records.keysetKeys(keyset), own: keyset.id, adopted: keyset.adopted.map((source) => source.id) }
  }
  function shareKeys(id: string): LogKeys {
    const share = shareOf(id)
    return { keys: sharing.shareKeys(share), own: share.id, adopted: [] }
  }
  /** §7.2 The scope `public` and scopes under DES-56 have no records. */
  function ownerKeys(owner: vectors.OwnerVector): LogKeys & { keys: records.SharedKey } {
    reader.check(owner.kind !== 'public' && !(owner.kind === 'private' && owner.type === 4), 'policy')
    const key = buffer(owner.key)
    if (owner.kind === 'vault') {
      const id = buffer(owner.id)
      return { keys: records.vaultKeys(id, key), own: id, adopted: [] }
    }
    const id = client.scopeOwner(key, owner.account, owner.kind)
    return { keys: records.scopeKeys(id, key), own: id, adopted: [] }
  }
  /** §10.6 Scopes under DES-56 have packs, although they have no records. */
  function packOwner(owner: vectors.OwnerVector): { ownerId: Buffer; key: Buffer } | undefined {
    if (owner.kind === 'public') return undefined
    const key = buffer(owner.key)
    const ownerId = owner.kind === 'vault' ? buffer(owner.id) : client.scopeOwner(key, owner.account, owner.kind)
    return { key, ownerId }
  }

  function openRecord(vector: vectors.RecordVector, keys: () => LogKeys): Reading {
    const { log, record, kind, position, epoch, sequence, content, after } = vector
    const before = after === null ? undefined : after === 'start' ? after : buffer(after)
    return {
      expected: vector.expect,
      read: () => {
        const opened = records.openRecord(buffer(record), log, before, keys().keys)
        const found = [opened.kind, opened.position, opened.epoch, opened.sequence, hex(opened.content)]
        expectSame(found, [kind, position, epoch, sequence, content])
      },
    }
  }
  /** The id of a record from its random bytes */
  function madeId(vector: vectors.RecordVector, S: () => Buffer): Reading[] {
    const [random] = vector.random ?? []
    if (random === undefined) return []
    const made = () => records.hedgedId(S(), buffer(random), records.logIdOf(vector.log), buffer(vector.content))
    return [{ expected: 'ok', read: () => expectSame(hex(made()), vector.position.split('-')[1]) }]
  }
  /** The n of a record of a vault or a scope from its random bytes */
  function madeNonce(vector: vectors.OwnedRecordVector): Reading[] {
    const [, random] = vector.random ?? []
    if (random === undefined) return []
    const made = () => {
      const bytes = buffer(vector.record)
      const stored = [bytes.subarray(0, 48), bytes.subarray(48, 112)] as const
      const { key } = ownerKeys(vector.owner).keys
      return records.hedgedNonce(key, buffer(random), buffer(vector.content), ...stored, records.logIdOf(vector.log))
    }
    return [{ expected: 'ok', read: () => expectSame(hex(made()), vector.record.slice(224, 288)) }]
  }

  const keys = (opened: readonly { generation: number; due: boolean; key: Buffer }[]) =>
    opened.map(({ generation, due, key }) => [generation, due, hex(key)])
  const statedKeys = (stated: readonly vectors.SlotVector[]) =>
    stated.map(({ generation, due, key }) => [generation, due, key])
  const versionsOf = ({ first, versions }: vectors.VersionsVector) => ({ first, versions: versions.map(buffer) })

  function openerOf(by: vectors.SlotOpener): recovery.By {
    if (by.kind === 'code') return { recoveryKey: recovery.recoveryKeyOfCode(by.code) }
    if (by.kind === 'parts') return { recoveryKey: recovery.recoveryKeyOfCode(recovery.combineParts(by.parts)) }
    if (by.kind === 'secret') return { recoveryKey: recovery.recoveryKeyOf(buffer(by.secret), 'secret') }
    return { cards: plantedCards().map(({ pair }) => pair), from: vaults.readCard(buffer(by.from)).fingerprint }
  }
  const KINDS = ['code', 'split', 'card', 'secret']
  const listed = ({ id, kind, label, created, k, n }: recovery.Slot) => [
    ...[hex(id), KINDS[kind - 1], label, created, k ?? 0, n ?? 0],
  ]
  const statedSlot = ({ id, kind, label, created, needed = 0, parts = 0 }: vectors.ListedSlot) => [
    ...[id, kind, label, created, needed, parts],
  ]

  const openDelegation = (now: number, vector: vectors.DelegationVector) => {
    const by = keysetOf(vector.fleet ?? 'host-full')
    return fleet.openDelegation(buffer(vector.delegation), buffer(vector.card), by, now)
  }
  /** Opens a block with the private halves of the current pair, as the owner of the delegation would. */
  function openRekeyed(envelope: Buffer, vector: vectors.DelegatedHeadVector, by: fleet.Delegation): Buffer {
    const { keysetId: id, block, adopted } = by
    const pair = { ...block, skX: buffer(vector.current.slice(0, 64)), seedM: buffer(vector.current.slice(64)) }
    const none = { blockSalt: Buffer.alloc(0), dedupKey: Buffer.alloc(0) }
    const owner = { id, pairs: [pair], adopted: adopted.map((each) => ({ id: each, ...none })) }
    const bytes = Buffer.concat([envelope, buffer(vector.ciphertext)])
    return reader.openUnlabelled(bytes, vector.label, owner, 0).P
  }

  function checkProof({ kind, realm, server, registryKey, now, ...vector }: vectors.ProofVector): void {
    const bytes = buffer(vector.bytes)
    const checkIssued = (challenge: Uint8Array) => client.readIssued(challenge, realm, server, buffer(registryKey), now)
    if (kind === 'challenge') {
      client.readChallenge(bytes, realm, server)
      return
    }
    if (kind === 'issued') {
      checkIssued(bytes)
      return
    }
    const found = kind === 'enrolment' ? client.readEnrolment(bytes, realm) : client.readProof(bytes)
    if (registryKey !== '') checkIssued(found.challenge)
  }

  return {
    keyset: ({ password, floor, writer, card, ...vector }) => {
      const bytes = buffer(vector.export)
      const lowest = floor === undefined ? undefined : parseRevision(floor)
      const open = () => reader.openKeyset(bytes, password, lowest)
      return [
        { expected: vector.expect, read: open },
        ...(writer === undefined ? [] : [{ expected: writer, read: () => reader.readWriter(bytes) }]),
        ...(card === undefined ? [] : [{ expected: card, read: () => reader.useCard(open()) }]),
      ]
    },
    revision: ({ keyset, master, random, contents, revision }) => {
      const read = () => {
        const { version } = parseRevision(revision)
        const made = revisionOf(buffer(master), buffer(random), buffer(contents))
        expectSame(textOf({ version, revision: made }), revision)
        const stored = keysetOf(keyset)
        expectSame([textOf(stored), hex(stored.contents)], [revision, contents])
      }
      return [{ expected: 'ok', read }]
    },
    hedge: ({ kind, hedged, expect: expected, ...vector }) => {
      const names = ['key', 'random', 'content', 'header', 'params', 'context'] as const
      const fields = Object.fromEntries(names.map((name) => [name, buffer(vector[name])])) as unknown as hedge.Hedged
      const make = { nonce: hedge.nonce, 'block-key': hedge.blockKey, ephemeral: hedge.ephemeral }[kind]
      return [{ expected, read: () => expectSame(hex(make(fields)), hedged) }]
    },
    ref: ({ ref, expect: expected, label, member, ciphertext }) => {
      const read = () => {
        const found = readRef(ref)
        const named = ciphertext === undefined ? undefined : hex(hashOf(buffer(ciphertext)))
        expectSame([found.label, found.member, found.hash && hex(found.hash)], [label, member, named])
      }
      return [{ expected, read }]
    },
    block: ({ keyset, label, content, ...vector }) => {
      const accepts = { true: 0, x25519: 1, false: undefined }[String(vector.acceptsWeaker ?? false)]
      const open = () => reader.openBlock(buffer(vector.block), label, keysetOf(keyset), accepts)
      return [{ expected: vector.expect, read: () => expectSame(hex(open()), content) }]
    },
    pack: ({ pack, member, file, expect: expected }) => [
      { expected, read: () => expectSame(hex(openPackMember(buffer(pack), member)), file) },
    ],
    record: ({ keyset, ...vector }) => [
      openRecord(vector, () => keysetKeys(keyset)),
      ...madeId(vector, () => keysetOf(keyset).sourceSigning.seed),
    ],
    'owned-record': ({ owner, ...vector }) => [
      openRecord(vector, () => ownerKeys(owner)),
      ...madeId(vector, () => ownerKeys(owner).keys.key),
      ...madeNonce({ owner, ...vector }),
    ],
    'shared-record': ({ invite, ...vector }) => [openRecord(vector, () => shareKeys(invite))],
    log: ({ owner, log, objects, atLeast, epoch, expect: expected, ...vector }) => {
      const versionsIn = (versions: Record<string, string>) =>
        new Map(Object.entries(versions).map(([version, bytes]) => [Number(version), buffer(bytes)]))
      const keysOf = () =>
        owner.kind === 'keyset'
          ? keysetKeys(owner.keyset)
          : owner.kind === 'share'
            ? shareKeys(owner.invite)
            : ownerKeys(owner)
      const read = () => {
        const stored = new Map(Object.entries(objects).map(([name, versions]) => [name, versionsIn(versions)]))
        const found = readLog(stored, log, keysOf(), atLeast)
        const shown = found.records.map(({ position, content }) => [position, hex(content)])
        const stated = vector.records.map(({ position, content }) => [position, content])
        expectSame([found.epoch, shown], [epoch, stated])
      }
      return [{ expected, read }]
    },
    'owned-pack': ({ owner, files, pack, members, expect: expected }) => {
      const read = () => {
        const made = packWith(files.map(buffer), packOwner(owner))
        expectSame([hex(made.pack), made.members], [pack, members])
      }
      return [{ expected, read }]
    },
    invite: ({ id, shareId, issuedAt, keyset, card, invite, expect: expected }) => {
      const read = () => {
        const share = sharing.openInvite(buffer(invite), buffer(card), keysetOf(keyset))
        expectSame([id, hex(share.id), share.issuedAt], [id, shareId, issuedAt])
      }
      return [{ expected, read }]
    },
    'shared-block': ({ invite, label, block, content, expect: expected }) => {
      const open = () => sharing.openSharedBlock(buffer(block), label, shareOf(invite))
      return [{ expected, read: () => expectSame(hex(open()), content) }]
    },
    login: ({ password, realm, user, credential, rootKey, expect: expected }) => {
      const read = () => {
        const login = vaults.login(password, realm, user)
        expectSame([login.credential, hex(login.rootKey)], [credential, rootKey])
      }
      return [{ expected, read }]
    },
    card: ({ card, fingerprint, expect: expected }) => [
      { expected, read: () => expectSame(vaults.readCard(buffer(card)).fingerprint, fingerprint) },
    ],
    profile: ({ rootKey, profile, floor, seed, identityDue, recoveryKey = '', ...vector }) => {
      const read = () => {
        const opened = profiles.readProfile(buffer(profile), buffer(rootKey), floor)
        const who = [hex(opened.seed), opened.identityDue, hex(opened.recoveryKey ?? Buffer.alloc(0))]
        expectSame(who, [seed, identityDue, recoveryKey])
        expectSame(keys(opened.vaults.flatMap((vault) => vault.keys)), statedKeys(vector.keys))
      }
      const withoutKey = () => profiles.readWithoutKey(buffer(profile))
      return [
        { expected: vector.expect, read },
        { expected: vector.withoutKey, read: withoutKey },
      ]
    },
    recovery: ({ slot, profileId, realm, user, vaultId, generation, key, expect: expected }) => {
      const place = [buffer(profileId), realm, user, buffer(vaultId), generation] as const
      const open = () => vaults.openRecoverySlot(buffer(slot), plantedCards()[0]!.pair, ...place)
      return [{ expected, read: () => expectSame(hex(open()), key) }]
    },
    reset: ({ record, realm, user, pinned, floor, code, expect: expected, ...vector }) => {
      const read = () => {
        const pin = pinned === '' ? undefined : buffer(pinned)
        const names = { realm, user }
        const opened =
          code === undefined
            ? profiles.readForReset(buffer(record), plantedCards(), names, pin, floor)
            : profiles.readForResetByKey(buffer(record), recovery.recoveryKeyOfCode(code), names, pin, floor)
        expectSame(keys(opened.flatMap((vault) => vault.keys)), statedKeys(vector.keys))
      }
      return [{ expected, read }]
    },
    follows: ({ stored, next, expect: expected }) => {
      const read = () => {
        const parsed = [profiles.parseProfile(buffer(stored)), profiles.parseProfile(buffer(next))] as const
        profiles.checkFollows(...parsed)
      }
      const signed = [stored, next].map((record) => () => profiles.readWithoutKey(buffer(record)))
      return [{ expected, read }, ...signed.map((each) => ({ expected: 'ok', read: each }))]
    },
    counts: ({ counts, first, versions, expect: expected }) => {
      const read = () => {
        const { record, at } = profiles.findCounting(versionsOf({ first, versions }))
        expectSame([at, hex(record.all)], [counts, versions[counts - first]])
      }
      return [{ expected, read }]
    },
    guard: ({ name, next, records: stored, keyrings, verifier, expect: expected }) => {
      const read = () => {
        const kept = verifier === null ? undefined : buffer(verifier)
        if (name === 'profile') {
          profiles.checkRecord(versionsOf(stored), buffer(next), kept)
          return
        }
        if (name.startsWith('log/')) {
          profiles.checkLogRecord(versionsOf(stored), buffer(next))
          return
        }
        const vaultId = buffer(name.slice('keyring/'.length))
        profiles.checkKeyring(versionsOf(stored), versionsOf(keyrings), vaultId, buffer(next))
      }
      return [{ expected, read }]
    },
    verifier: ({ object, credential, matches, expect: expected }) => {
      const read = () => {
        const kept = profiles.readVerifier(buffer(object))
        expectSame(kept !== undefined && profiles.matches(kept, credential), matches)
      }
      return [{ expected, read }]
    },
    keyring: ({ keyring, vaultId, keys: given, dataKey, live, expect: expected }) => {
      const read = () => {
        const dataKeyId = vaults.keyIdOf(buffer(dataKey))
        const eKeys = given.map(({ generation, key }) => ({ generation, key: buffer(key) }))
        const opened = vaults.readKeyring(buffer(keyring), buffer(vaultId), dataKeyId, eKeys)
        expectSame([hex(opened.dataKey), opened.live], [dataKey, live])
      }
      return [{ expected, read }]
    },
    'vault-block': ({ vaultId, dataKey, label, block, content, expect: expected }) => {
      const open = () => vaults.openVaultBlock(buffer(block), label, buffer(vaultId), buffer(dataKey))
      return [{ expected, read: () => expectSame(hex(open()), content) }]
    },
    'typed-key': ({ type, text, role, realm, account, key, expect: expected }) => {
      const number = ['AES-128', 'AES-192', 'AES-256', 'DES-56'].indexOf(type) + 1
      return [{ expected, read: () => expectSame(hex(client.typedKey(text, number, role, realm, account)), key) }]
    },
    'client-block': ({ realm, account, privateType, label, block, content, expect: expected, ...vector }) => {
      const privateKey = { type: privateType, key: buffer(vector.privateKey) }
      const by = { realm, account, privateKey, accountKey: { type: 1, key: buffer(vector.accountKey) } }
      return [{ expected, read: () => expectSame(hex(client.openClientBlock(buffer(block), label, by)), content) }]
    },
    proof: (vector) => [{ expected: vector.expect, read: () => checkProof(vector) }],
    account: ({ realm, account, name, row, accountKey, clients, expect: expected }) => {
      const shown = ({ type, hash }: { type: number; hash: Uint8Array }) => ({ type, hash: hex(hash) })
      const read = () => {
        const found = client.readRow(buffer(row))
        const known = found.clients.map(({ client: id, key, escrow, state, platform, issuedAt }) => {
          const [told, kept] = [shown(key), escrow === undefined ? null : hex(escrow)]
          return [hex(id), state, platform, told.type, told.hash, kept, issuedAt]
        })
        const stated = clients.map(({ client: id, key, escrow, state, platform, issuedAt }) => {
          return [id, state, platform, key.type, key.hash, escrow, issuedAt]
        })
        const hashed = found.accountKey === undefined ? null : shown(found.accountKey)
        expectSame([hashed?.type, hashed?.hash], [accountKey?.type, accountKey?.hash])
        expectSame(known, stated)
      }
      return [
        { expected, read },
        { expected: 'ok', read: () => expectSame(client.rowName(realm, account), name) },
      ]
    },
    device: ({ kind, deviceKey, bytes, passphrase, place, text, expect: expected }) => {
      const read = () => {
        const key = buffer(deviceKey)
        if (kind === 'key') {
          expectSame(hex(client.openDeviceKey(buffer(bytes), passphrase ?? undefined)), deviceKey)
          return
        }
        if (kind === 'text') {
          expectSame(client.openText(buffer(bytes), place, key), text)
          return
        }
        client.openSaved(buffer(bytes), { login: 1, client: 2, keyset: 3 }[kind], key)
      }
      return [{ expected, read }]
    },
    escrow: ({ bytes, code, realm, account, client: name, platform, expect: expected, ...vector }) => {
      const read = () => {
        const opened = custody.openEscrow(buffer(bytes), code)
        expectSame([opened.realm, opened.account, opened.client, opened.platform], [realm, account, name, platform])
        const accountKey = opened.accountKey === undefined ? '' : hex(opened.accountKey.key)
        expectSame([hex(opened.privateKey.key), accountKey], [vector.privateKey, vector.accountKey])
      }
      return [{ expected, read }]
    },
    registration: ({ bytes, card, code, account, now, server, expires, armed, privateKey, ...vector }) => {
      const options = { ...(code !== null && { code }), ...(account !== null && { account }), now }
      const read = () => {
        const found = custody.openRegistration(buffer(bytes), buffer(card), options)
        const shown = [found.server, found.expires, hex(found.opened.privateKey.key)]
        expectSame([...shown, buffer(bytes).at(-31) === 1 && armed], [server, expires, privateKey, armed])
      }
      const arm = () => {
        const armed = custody.armRegistration(buffer(bytes), code ?? '')
        const unarmed = buffer(bytes).subarray(0, armed.length - 31)
        expectSame(hex(armed.subarray(0, -30)), hex(unarmed) + '01')
        expectSame(armed.toString('latin1', armed.length - 30), custody.parseActivationCode(code ?? ''))
      }
      return [
        { expected: vector.expect, read },
        ...(vector.arming === undefined ? [] : [{ expected: vector.arming, read: arm }]),
      ]
    },
    'legacy-block': ({ account, key, label, block, content, expect: expected }) => {
      const open = () => custody.openLegacyBlock(buffer(block), label, { account, key: buffer(key) })
      return [{ expected, read: () => expectSame(hex(open()), content) }]
    },
    'recovery-key': ({ source, secret, keys: stated, expect: expected }) => {
      const derive = () =>
        source === 'code' ? recovery.recoveryKeyOfCode(secret) : recovery.recoveryKeyOf(buffer(secret), 'secret')
      return [{ expected, read: () => expectSame(hex(derive().keys), stated) }]
    },
    'recovery-code': ({ kind, text, code, expect: expected }) => {
      const parse = { recovery: recovery.parseRecoveryCode, activation: custody.parseActivationCode }[kind]
      return [{ expected, read: () => expectSame(parse(text), code) }]
    },
    'recovery-part': ({ parts, code, expect: expected }) => [
      { expected, read: () => expectSame(recovery.combineParts(parts), code) },
    ],
    slots: ({ slots, keyset, by, floor, keysetId, form, slot, master, revision, expect: expected, ...vector }) => {
      const list = () => {
        const newest = slots.at(-1)
        if (newest === undefined) throw new Error('missing')
        expectSame(recovery.parseSlots(buffer(newest)).slots.map(listed), vector.listed.map(statedSlot))
      }
      const open = () => {
        const stored = { slots: slots.map(buffer), keyset: keyset.map(buffer) }
        const least = floor === '' ? undefined : parseRevision(floor)
        const id = keysetId === '' ? undefined : buffer(keysetId)
        const opened = recovery.openByRecovery(stored, openerOf(by), least, id)
        expectSame([hex(opened.slot.id), hex(opened.M), textOf(opened.keyset)], [slot, master, revision])
      }
      return [
        { expected: form, read: list },
        { expected, read: open },
      ]
    },
    armor: ({ text, object, written, expect: expected }) => [
      { expected, read: () => expectSame(hex(recovery.dearmor(text)), object) },
      ...(written ? [{ expected: 'ok', read: () => expectSame(recovery.armor(buffer(object)), text) }] : []),
    ],
    delegation: (vector) => {
      const { now, keysetId, revision, until, encryption, minimum, pairs, adopted } = vector
      const read = () => {
        const opened = openDelegation(now, vector)
        expectSame([hex(opened.keysetId), textOf(opened), opened.until], [keysetId, revision, until])
        expectSame(
          [opened.block, ...opened.retired].map((pair) => hex(reader.pairId(pair))),
          pairs,
        )
        expectSame([opened.encryption, opened.block.minimum, opened.adopted.map(hex)], [encryption, minimum, adopted])
      }
      return [{ expected: vector.expect, read }]
    },
    'delegated-head': (vector) => {
      const { label, now, suite, content } = vector
      const stated = named('delegation', vector.delegation)
      const by = () => openDelegation(stated.now, stated)
      const envelope = buffer(vector.envelope)
      const answer = vector.isCurrent === 'current' || vector.isCurrent === 'not current' ? vector.isCurrent : undefined
      const isCurrent = () => expectSame(fleet.isCurrent(envelope, by(), now), answer === 'current')
      const rekey = () => {
        const made = fleet.rekey(envelope, label, by(), now)
        expectSame([made.readUInt16BE(6), hex(made.subarray(32, 48))], [suite, hex(envelope.subarray(32, 48))])
        expectSame(hex(openRekeyed(made, vector, by())), content)
        expectSame(fleet.isCurrent(made, by(), now), suite >= [0, 0x0101, 0x0102][stated.minimum]!)
      }
      return [
        { expected: answer === undefined ? vector.isCurrent : 'ok', read: isCurrent },
        { expected: vector.expect, read: rekey },
      ]
    },
  }
}
