// One of several processes that write one object in a bucket. Prints what happened as JSON.
import { S3Client } from '@aws-sdk/client-s3'
import { s3StateStore } from '../../src/stores/s3.ts'
import { appendEntries } from './append-entries.ts'

const [endpoint = '', accessKeyId = '', secretAccessKey = '', bucket = '', name = '', writer = '', count = ''] =
  process.argv.slice(2)
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId, secretAccessKey },
})
const store = s3StateStore({ client, bucket, prefix: 'processes/' })
console.log(JSON.stringify(await appendEntries(store, name, Number(writer), Number(count))))
