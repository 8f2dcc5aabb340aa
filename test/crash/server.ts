// The server of one user in its own process, which kills itself right after its nth call that changes the store, and
// before it answers: `server.ts JOB`, where JOB is a Job as JSON. It says at which port it listens.
import { guardProfiles } from '../../src/server.ts'
import { serveStateStore } from '../../src/stores/http.ts'
import { count } from '../stores/adding.ts'
import { startHttpServer } from '../stores/http-server.ts'
import { dyingPlace, type Job } from './user.ts'

const guarded = guardProfiles(dyingPlace(JSON.parse(process.argv[2]!) as Job).store)
const { port } = await startHttpServer((request) => serveStateStore(guarded, request))
count(`port ${port}`)
