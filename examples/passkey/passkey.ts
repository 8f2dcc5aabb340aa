// Passkeys as secrets: WebAuthn with its PRF extension (https://www.w3.org/TR/webauthn-3/#prf-extension). For a salt, the
// authenticator computes 32 bytes from a key that it never gives away. They are the same each time, and nobody without the
// passkey can compute them. No server is involved, so nothing here checks the signatures of the authenticator.

/**
 * What the secret is computed from, besides the passkey. It is not secret. Another salt gives another secret, so choose one
 * for your product, and never change it. The authenticator already binds the passkey to the address of the site.
 */
const SALT = new TextEncoder().encode('keystrata example: unlock a keyset with a passkey')

/** Ed25519, ECDSA with P-256, and RSA for older Windows computers. The signatures are not used. */
const ALGORITHMS = [-8, -7, -257]

export interface Passkey {
  /** The id of the credential, in base64url. It is not secret. */
  readonly id: string
  /** 32 bytes. Overwrite them after use. */
  readonly secret: Uint8Array
}

export type PasskeyProblem =
  /** This browser has no passkeys, or this page is not in a secure context. */
  | 'no-passkeys'
  /** The browser, or what keeps the passkey, has no PRF extension. */
  | 'no-secret'
  /** The user cancelled, or did not answer in time, or has none of these passkeys here. Browsers do not say which. */
  | 'not-used'
  /** What keeps passkeys on this device has one of these already. */
  | 'already-there'
  /** The address of this page cannot have passkeys, such as `http://127.0.0.1`. */
  | 'wrong-address'

export class PasskeyError extends Error {
  readonly problem: PasskeyProblem

  constructor(problem: PasskeyProblem, options?: ErrorOptions) {
    super(problem, options)
    this.problem = problem
  }
}

/** Returns why passkeys cannot work here, as far as the browser says so in advance. */
export async function whyNoPasskeys(): Promise<PasskeyProblem | undefined> {
  // Browsers without passkeys have neither of these, whatever the types say.
  const { PublicKeyCredential: credentials } = window as Partial<typeof globalThis>
  if (credentials === undefined) return 'no-passkeys'
  const { getClientCapabilities } = credentials as Partial<typeof PublicKeyCredential>
  const capabilities = await getClientCapabilities?.call(credentials).catch(() => undefined)
  return capabilities?.['extension:prf'] === false ? 'no-secret' : undefined
}

/**
 * Creates a passkey, and returns it with its secret.
 * @param user `id`: the id of the keyset, hexadecimal. An authenticator keeps one passkey for each user, so a new one replaces
 *   one that was created but never used. `name`: what the browser shows
 * @param others the ids of passkeys that must not be replaced
 * @throws PasskeyError
 */
export async function createPasskey(user: { id: string; name: string }, others: readonly string[]): Promise<Passkey> {
  const credential = await ask(() =>
    navigator.credentials.create({
      publicKey: {
        rp: { name: 'keystrata example' },
        user: { id: fromHex(user.id), name: user.name, displayName: user.name },
        challenge: challenge(),
        pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
        excludeCredentials: others.map(descriptor),
        // Some authenticators compute another secret where they have not verified the user. So this always requires it.
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        extensions: { prf: { eval: { first: SALT } } },
      },
    }),
  )
  const { prf } = credential.getClientExtensionResults()
  if (prf?.results !== undefined) return { id: credential.id, secret: bytesOf(prf.results.first) }
  // Some authenticators compute the secret only when the passkey is used.
  if (prf?.enabled === true) return readPasskey([credential.id])
  await discard(credential.id)
  throw new PasskeyError('no-secret')
}

/**
 * Lets the user choose a passkey, and returns it with its secret.
 * @param ids the passkeys to offer. If the list is empty, the browser offers every passkey of this site
 * @throws PasskeyError
 */
export async function readPasskey(ids: readonly string[]): Promise<Passkey> {
  const credential = await ask(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: challenge(),
        allowCredentials: ids.map(descriptor),
        userVerification: 'required',
        extensions: { prf: { eval: { first: SALT } } },
      },
    }),
  )
  const { prf } = credential.getClientExtensionResults()
  if (prf?.results === undefined) throw new PasskeyError('no-secret')
  return { id: credential.id, secret: bytesOf(prf.results.first) }
}

/** Asks the browser for a credential, and names the reason if it returns none. */
async function ask(request: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  if (!('credentials' in navigator)) throw new PasskeyError('no-passkeys')
  try {
    return (await request()) as PublicKeyCredential
  } catch (cause) {
    const problem = cause instanceof DOMException ? PROBLEMS[cause.name] : undefined
    throw problem === undefined ? cause : new PasskeyError(problem, { cause })
  }
}

const PROBLEMS: Readonly<Record<string, PasskeyProblem>> = {
  NotAllowedError: 'not-used',
  AbortError: 'not-used',
  InvalidStateError: 'already-there',
  SecurityError: 'wrong-address',
  NotSupportedError: 'no-secret',
  ConstraintError: 'no-secret',
}

/** Tells the browser that a passkey is of no use, so that it is not offered again. Not every browser can do that. */
async function discard(credentialId: string): Promise<void> {
  const { signalUnknownCredential } = PublicKeyCredential as Partial<typeof PublicKeyCredential>
  const unknown = { rpId: location.hostname, credentialId }
  await signalUnknownCredential?.call(PublicKeyCredential, unknown).catch(() => undefined)
}

/** A challenge keeps old answers from a server. This page has no server: only the secret counts. */
const challenge = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(32))

const descriptor = (id: string): PublicKeyCredentialDescriptor => ({ type: 'public-key', id: fromBase64Url(id) })

const fromHex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16))

const fromBase64Url = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0))

/** Extensions that keep passkeys return a view, and browsers an ArrayBuffer. */
const bytesOf = (source: BufferSource): Uint8Array =>
  ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source)
