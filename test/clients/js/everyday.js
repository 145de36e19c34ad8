// kafkajs against a node: produce, consume, groups, resume.
const assert = require('node:assert')
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

async function main() {
  const kafka = new Kafka({ clientId: 'js', brokers: [process.argv[2]], logLevel: logLevel.ERROR })
  const topic = `js-${Date.now()}`
  const admin = kafka.admin()
  await admin.connect()
  assert(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }))
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const total = 300
  for (const [n, compression] of [CompressionTypes.None, CompressionTypes.GZIP].entries()) {
    await producer.send({
      topic, compression,
      messages: Array.from({ length: total / 2 }, (_, i) => ({ key: String(i), value: `${n}-${i}`, headers: { n: String(n) } })),
    })
  }
  await producer.disconnect()
  const seen = new Map()
  const consume = async (until) => {
    const consumer = kafka.consumer({ groupId: topic })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${seen.size} of ${until}`)), 40000)
      consumer.run({
        eachMessage: async ({ partition, message }) => {
          const at = `${partition}/${message.offset}`
          seen.set(at, (seen.get(at) || 0) + 1)
          assert.strictEqual(message.headers.n.toString(), message.value.toString().split('-')[0])
          if (seen.size >= until) { clearTimeout(timer); resolve() }
        },
      }).catch(reject)
    })
    await consumer.disconnect()
  }
  await consume(total)
  const offsets = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
  assert.strictEqual(offsets[0].partitions.reduce((sum, p) => sum + Number(p.offset), 0), total)
  const more = kafka.producer()
  await more.connect()
  await more.send({ topic, messages: [{ key: 'last', value: '9-last', headers: { n: '9' } }] })
  await more.disconnect()
  await consume(total + 1)
  assert([...seen.values()].every((times) => times === 1), 'a committed record came again')
  const described = await admin.describeGroups([topic])
  assert.strictEqual(described.groups[0].state, 'Empty')
  await admin.deleteGroups([topic])
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
  console.log('kafkajs: 6 passed, 0 failed')
}

main().catch((e) => { console.error('FAIL', e); process.exit(1) })
