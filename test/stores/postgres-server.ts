// Starts a real PostgreSQL server for tests, in a temporary folder, on a Unix socket only. The example of a fleet starts
// its server in the same way.
import { type Postgres, startPostgres as start } from '../../examples/fleet/servers.ts'

/** The connections of a superuser. */
export type Server = Omit<Postgres, 'process'>

/**
 * Starts a server. Its port is only a part of the socket's name.
 * @param settings lines of its configuration
 */
export const startPostgres = async (settings: Readonly<Record<string, string>> = {}): Promise<Server> => start(settings)
