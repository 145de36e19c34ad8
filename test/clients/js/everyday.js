// The everyday story told with kafkajs: everyday.js HOST:PORT,... RESTART. See ../README.md.
const { execFileSync } = require('node:child_process')
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const [servers, restart] = process.argv.slice(2)
const topic = 'kafkajs'
const kafka = new Kafka({ clientId: 'js', brokers: servers.split(','), logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 60 } })
const places = [0, 1, 2]

// If it hangs, it says where, before it is ended from outside.
let last = []
const print = console.log
console.log = (...line) => { last = line; print(...line) }
setTimeout(() => { console.error('it hangs after:', ...last); process.exit(1) }, 240000).unref()

async function outcome(what, wish) {
  try { console.log(what, JSON.stringify(await wish)) } catch (e) { console.log(what, e.type || (e.errors || e.groups)?.map((one) => one.type || one.error.type)[0] || e.name, e.message) }
}

async function until(what, so) {
  for (const deadline = Date.now() + 60000; !(await so());) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// Its administrator leaves it to its caller to ask again, also after errors that pass. Those of groups are called so in any case.
async function again(wish) {
  const passes = (e) => e.groups ? e.groups.some((g) => g.error?.retriable) : e.retriable
  for (const deadline = Date.now() + 60000; ;) {
    try { return await wish() } catch (e) { if (!passes(e) || Date.now() > deadline) throw e }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function produce(messages, options = {}, settings = {}) {
  const producer = kafka.producer({ retry: { retries: 3 }, ...settings })
  await producer.connect()
  for (const message of messages)
    await outcome(`produced ${message.key}`, producer.send({ topic, messages: [message], ...options }).then((r) => r.map((p) => `${p.partition}@${p.baseOffset}`)))
  await producer.disconnect()
}

// Joins a group, and takes what it is given until it is stopped.
async function join(groupId) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 20000 })
  const seen = new Map()
  let share
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { share = (payload.memberAssignment[topic] || []).length })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ partition, message }) => { seen.set(`${partition}@${message.offset}`, message) } })
  return { seen, share: () => share, leave: () => consumer.disconnect() }
}

function show(seen) {
  for (const at of [...seen.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))) {
    const { key, value, headers } = seen.get(at)
    console.log(at, `${key}`, value && value.length, Object.entries(headers).map(([name, v]) => `${name}=${v}`).join())
  }
}

async function shares(members, ...want) {
  await until(`shares ${want}`, () => members.map((m) => m.share()).sort().join() === want.join())
  console.log('shares', want)
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  const ends = async () => (await again(() => admin.fetchTopicOffsets(topic))).sort((a, b) => a.partition - b.partition)
  // A member whose leaving nobody heard is there until its session ends; the administrator is one itself when it resets offsets.
  const empty = async (group) => {
    let described
    await until('the group is empty', async () => (described = (await again(() => admin.describeGroups([group]))).groups[0]).state === 'Empty')
    return described
  }
  const total = async () => (await ends()).reduce((sum, p) => sum + Number(p.high), 0)

  console.log('# topics')
  for (let i = 0; i < 2; i++) await outcome('create', admin.createTopics({ topics: [{ topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '3600000' }] }] }))
  await outcome('create badly', admin.createTopics({ topics: [{ topic: 'no spaces' }] }))
  await outcome('partitions', admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
  await until('the third partition', async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3)
  for (const p of (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.sort((a, b) => a.partitionId - b.partitionId)) console.log('partition', p.partitionId, 'leader', p.leader, 'replicas', p.replicas, 'in sync', p.isr)

  console.log('# producing')
  for (const [name, compression] of Object.entries({ none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }))
    await produce([0, 1, 2].map((n) => ({ key: `${name}-${n}`, value: 'value '.repeat(50), headers: { codec: name } })), { compression }, { idempotent: true, retry: { retries: 10 } })
  for (const acks of [0, 1, -1]) await produce([{ key: `acks=${acks}`, value: 'v' }], { acks })
  await produce([{ key: 'null', value: null }, { key: 'empty', value: '' }, { key: 'old', value: 'of 2001', timestamp: '1000000000000' }, { key: 'placed', value: 'v', partition: 2 }])
  await produce([{ key: 'too large', value: 'x'.repeat(2000000) }, { key: 'large', value: 'x'.repeat(900000) }])
  await produce([{ key: 'lost', value: 'v' }], { topic: 'no spaces' })

  console.log('# reading')
  console.log('ends', (await ends()).map((p) => `${p.low}-${p.high}`))
  for (const at of [999999999999, 1000000000001]) console.log('at', at, (await again(() => admin.fetchTopicOffsetsByTimestamp(topic, at))).map((p) => `${p.partition}@${p.offset}`).sort())

  console.log('# groups')
  const first = await join(topic)
  await until('all records', async () => first.seen.size === await total())
  show(first.seen)
  const second = await join(topic)
  await shares([first, second], 1, 2)
  await first.leave()
  await shares([second], 3)
  await second.leave()
  console.log('came again', second.seen.size)
  const described = await empty(topic)
  console.log(described.groupId, described.state, described.protocolType, described.members.length)

  console.log('# a crash of the broker')
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const survivor = await join('kafkajs-survivor')
  // What it sends again after it lost the broker may be there twice. And it forgets records if a partition's leader becomes a broker
  // that has already answered for other partitions of the same send; so there is one record to a send.
  const different = () => new Set([...survivor.seen.values()].filter((m) => `${m.key}`.startsWith('after-')).map((m) => `${m.key} ${m.value}`)).size
  for (let half = 0; half < 2; half++) {
    if (half === 1) execFileSync(restart)
    for (let i = 0; i < 100; i++) await producer.send({ topic, messages: [{ key: `after-${i}`, value: `${half}` }] })
    await until('all records', async () => different() === 100 * (half + 1) && survivor.seen.size === await total())
    console.log('different', different())
  }
  await producer.disconnect()
  await survivor.leave()

  console.log('# administration')
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  for (const value of ['7200000', 'x']) await outcome('configure', again(() => admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value }] }] })).then(() => 'done'))
  for (const e of (await again(() => admin.describeConfigs({ resources: [{ ...resource, configNames: ['retention.ms'] }] }))).resources[0].configEntries) console.log(e.configName, e.configValue, e.configSource)
  const committed = await again(() => admin.fetchOffsets({ groupId: 'kafkajs-survivor', topics: [topic] }))
  console.log('committed', committed[0].partitions.reduce((sum, p) => sum + Number(p.offset), 0) === survivor.seen.size)
  await empty('kafkajs-survivor')
  await again(() => admin.resetOffsets({ groupId: 'kafkajs-survivor', topic, earliest: true }))
  console.log('reset', (await again(() => admin.fetchOffsets({ groupId: 'kafkajs-survivor', topics: [topic] })))[0].partitions.map((p) => p.offset))
  await empty('kafkajs-survivor')
  await outcome('delete records', again(() => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }] })).then(() => 'done'))
  console.log('starts', (await ends()).map((p) => p.low))
  for (const group of [topic, 'kafkajs-survivor', 'absent']) await outcome(`delete group ${group}`, again(() => admin.deleteGroups([group])).then(() => 'done'))
  await outcome('delete', admin.deleteTopics({ topics: [topic] }).then(() => 'done'))
  await admin.disconnect()
}

main().then(() => process.exit(0)).catch((e) => { console.error(e); process.exit(1) })
