// Chromium's virtual authenticator, which keeps passkeys for one page as a device would.
import type { CDPSession, Page } from 'playwright'

/**
 * When an authenticator computes secrets (the PRF extension): already when it creates a passkey, as phones and computers do;
 * only when a passkey is used, as security keys do, by the extension hmac-secret of CTAP; or never.
 */
export type Secrets = 'at-once' | 'when-used' | 'never'

export class Authenticator {
  readonly #session: CDPSession
  readonly #authenticatorId: string

  private constructor(session: CDPSession, authenticatorId: string) {
    this.#session = session
    this.#authenticatorId = authenticatorId
  }

  /** Connects a new authenticator to a page, with a user who agrees to everything. */
  static async on(page: Page, secrets: Secrets = 'at-once'): Promise<Authenticator> {
    const session = await page.context().newCDPSession(page)
    await session.send('WebAuthn.enable')
    const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        ctap2Version: 'ctap2_1',
        transport: 'internal',
        hasPrf: secrets === 'at-once',
        hasHmacSecret: secrets === 'when-used',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    })
    return new Authenticator(session, authenticatorId)
  }

  /** Lets the user refuse from now on, or agree again. */
  async setUserAgrees(isUserVerified: boolean): Promise<void> {
    await this.#session.send('WebAuthn.setUserVerified', { authenticatorId: this.#authenticatorId, isUserVerified })
  }

  /** Returns the number of passkeys that it keeps. */
  async passkeys(): Promise<number> {
    const { credentials } = await this.#session.send('WebAuthn.getCredentials', {
      authenticatorId: this.#authenticatorId,
    })
    return credentials.length
  }

  /** Takes the authenticator away, with its passkeys. */
  async remove(): Promise<void> {
    await this.#session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: this.#authenticatorId })
    await this.#session.detach()
  }
}
