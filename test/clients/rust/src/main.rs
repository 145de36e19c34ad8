//! The everyday story told with krafka, a client in pure Rust: everyday HOST:PORT RESTART. See ../../README.md.

use std::collections::HashSet;
use std::error::Error;
use std::time::{Duration, Instant};

use krafka::admin::NewTopic;
use krafka::consumer::{AutoOffsetReset, Consumer, ConsumerRecord, PartitionAssignmentStrategy};
use krafka::producer::Acks;
use krafka::{Compression, Kafka, Record};

const TOPIC: &str = "krafka";
type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let kafka = Kafka::builder(&arguments[1]).connect().await?;
    let admin = kafka.admin();

    println!("# topics");
    for name in [TOPIC, TOPIC] {
        for (name, made) in admin.create_topics([NewTopic::new(name, 3, 1)?], Default::default()).await? {
            println!("create {name} {}", told(made));
        }
    }
    for (name, description) in admin.describe_topics([TOPIC], Default::default()).await? {
        for p in description?.partitions {
            println!("{name} partition {} leader {:?} replicas {:?} in sync {:?}", p.partition, p.leader, p.replicas, p.isr);
        }
    }

    println!("# producing");
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let producer = kafka.producer().compression(codec).build().await?;
        for n in 0..3 {
            let key = format!("{codec:?}-{n}");
            let made = producer.send(Record::new(TOPIC, "value ".repeat(50)).key(key.clone()).header("codec", format!("{codec:?}"))).await?;
            println!("produced {key} at {}@{}", made.partition, made.offset);
        }
        producer.close().await?;
    }
    for acks in [Acks::None, Acks::Leader, Acks::All] {
        let producer = kafka.producer().idempotent(false).acks(acks).build().await?;
        let made = producer.send(Record::new(TOPIC, "v").key("acks")).await;
        println!("produced acks={acks:?} {}", told(made.map(|_| ())));
        producer.close().await?;
    }
    let producer = kafka.producer().max_request_size(3_000_000).build().await?;
    for record in [Record::tombstone(TOPIC, "null"), Record::new(TOPIC, "").key("empty"), Record::new(TOPIC, "x".repeat(900_000)).key("large")] {
        let made = producer.send(record).await?;
        println!("produced at {}@{}", made.partition, made.offset);
    }
    let refused = producer.send(Record::new(TOPIC, "x".repeat(2_000_000)).key("too large")).await;
    println!("produced too large {}", refused.is_err());
    producer.close().await?;
    let total = 21;

    println!("# groups");
    for strategy in [PartitionAssignmentStrategy::Range, PartitionAssignmentStrategy::CooperativeSticky] {
        let group = &format!("krafka-{}", strategy.protocol_name());
        let first = member(&kafka, group, strategy.clone()).await?;
        show(&take(&first, total).await?);
        first.commit().await?;
        first.close().await?;
        let second = member(&kafka, group, strategy).await?;
        let again = second.poll(Duration::from_secs(1)).await?;
        println!("{group}: {} partitions, {} records come again", second.assignment().await.values().map(Vec::len).sum::<usize>(), again.len());
        second.close().await?;
    }

    println!("# a crash of the broker");
    let producer = kafka.producer().build().await?;
    let survivor = member(&kafka, "krafka-survivor", PartitionAssignmentStrategy::Range).await?;
    let mut came = take(&survivor, total).await?;
    let mut places = HashSet::new();
    for half in 0..2 {
        if half == 1 {
            let started = tokio::process::Command::new(&arguments[2]).output().await?;
            assert!(started.status.success(), "{started:?}");
        }
        for i in 0..100 {
            let made = producer.send(Record::new(TOPIC, format!("{half}")).key(format!("{i}"))).await?;
            places.insert((made.partition, made.offset));
        }
        came.extend(take(&survivor, 100).await?);
        let different: HashSet<_> = came.iter().map(|r| (r.partition, r.offset)).collect();
        println!("acknowledged {} came {} different {}", places.len(), came.len(), different.len());
    }
    survivor.commit().await?;
    survivor.close().await?;
    producer.close().await?;

    println!("# administration");
    let mut gone = admin.delete_consumer_groups(["krafka-range", "krafka-survivor", "absent"], Default::default()).await?.into_iter().collect::<Vec<_>>();
    gone.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, deleted) in gone {
        println!("delete group {name} {}", told(deleted));
    }
    for (name, deleted) in admin.delete_topics([TOPIC], Default::default()).await? {
        println!("delete {name} {}", told(deleted));
    }
    Ok(())
}

fn told<E: std::fmt::Display>(outcome: Result<(), E>) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "done".into())
}

async fn member(kafka: &Kafka, group: &str, strategy: PartitionAssignmentStrategy) -> Outcome<Consumer> {
    let member = kafka
        .consumer(group)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .heartbeat_interval(Duration::from_millis(300))
        .session_timeout(Duration::from_secs(20))
        .partition_assignment_strategy(strategy)
        .build()
        .await?;
    member.subscribe([TOPIC]).await?;
    Ok(member)
}

async fn take(member: &Consumer, count: usize) -> Outcome<Vec<ConsumerRecord>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut taken = Vec::new();
    while taken.len() < count {
        if Instant::now() > deadline {
            return Err(format!("only {} of {count} records came", taken.len()).into());
        }
        taken.extend(member.poll(Duration::from_millis(100)).await.unwrap_or_default()); // an error while the broker is away
    }
    taken.sort_by_key(|r| (r.partition, r.offset));
    Ok(taken)
}

fn show(records: &[ConsumerRecord]) {
    for r in records {
        println!("{}@{} {:?} {:?} {:?}", r.partition, r.offset, r.key_str(), r.value.as_ref().map(|v| v.len()), r.headers);
    }
}
