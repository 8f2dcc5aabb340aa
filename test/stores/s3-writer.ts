// One of several processes that write one object in a bucket. Prints what happened as JSON.
import { s3StateStore } from '../../src/stores/s3.ts'
import { appendEntries } from './append-entries.ts'
import { s3ClientOf } from './rados-gateway.ts'

const [endpoint = '', accessKeyId = '', secretAccessKey = '', bucket = '', name = '', writer = '', count = ''] =
  process.argv.slice(2)
const client = s3ClientOf({ credentials: { accessKeyId, secretAccessKey } }, endpoint)
const store = s3StateStore({ client, bucket, prefix: 'processes/' })
console.log(JSON.stringify(await appendEntries(store, name, Number(writer), Number(count))))
