// A device in its own process, which kills itself right after its nth call that changes the store: `device.ts JOB`, where
// JOB is a Job as JSON. It says how many calls it made if it got through.
import { count } from '../stores/adding.ts'
import { act, dyingPlace, type Job, loginsOf, seenBy } from './user.ts'

const job = JSON.parse(process.argv[2]!) as Job
const { store, calls } = dyingPlace(job)
await act(job.work, store, seenBy(store, job.guarded), await loginsOf(job))
count(`calls ${calls()}`)
