// A Redis server that is started again when it is killed.
import { ended, isRunning, type Running, startRedis } from './servers.ts'

export class KeptRedis {
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>
  #server: Running
  #isStopping = false
  #restarting: Promise<void> = Promise.resolve()

  private constructor(folder: string, settings: Readonly<Record<string, string>>, server: Running) {
    this.#folder = folder
    this.#settings = settings
    this.#server = server
    this.#watch()
  }

  /** @param settings lines of its configuration */
  static async start(folder: string, settings: Readonly<Record<string, string>> = {}): Promise<KeptRedis> {
    return new KeptRedis(folder, settings, await startRedis(folder, settings))
  }

  get pid(): number | undefined {
    return this.#server.process.pid
  }

  /** Kills it. Returns its id, or undefined if it is down. */
  async kill(): Promise<number | undefined> {
    const { process } = this.#server
    if (this.#isStopping || !isRunning(process)) return undefined
    await ended(process, 'SIGKILL')
    return process.pid
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#restarting
    await this.#server.stop()
  }

  #watch(): void {
    this.#server.process.once('exit', () => {
      if (!this.#isStopping) this.#restarting = this.#restart()
    })
  }

  async #restart(): Promise<void> {
    this.#server = await startRedis(this.#folder, this.#settings)
    this.#watch()
  }
}
