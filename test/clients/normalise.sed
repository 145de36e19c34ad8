# What is never the same in two accounts is replaced.
s/127\.0\.0\.1:[0-9]+/HOST:PORT/g
s/^([123] +127\.0\.0\.1) [0-9]+ /\1 PORT /
s/"\/[^"]*\/data"/"DATA"/g
# ids that brokers and clients make
s/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/UUID/g
s/((TopicId|Cluster ID): )[A-Za-z0-9_-]{22}/\1ID/
# how often it is told before it is done
/^[0-9]+ records sent.* max latency\.$/d
# times and speeds
s/"timestamp":[0-9]+/"timestamp":T/
/records sent|^20[0-9-]{8} [0-9:]+, |^Avg latency|^Percentiles|^[0-9]+\t[0-9.]+$/s/[0-9]+([-:.][0-9]+)*/N/g
# Kafka's segments have no header of their own
s/"size":[0-9]+/"size":N/g
# Kafka 4.3 sets this for the whole cluster when it makes one; Weir has the same value as the default
/^ +min\.insync\.replicas=1 /d
s/min\.insync\.replicas=1,?//g
# The verifiable tools print from several threads; that the consumer got the records tells of the producer.
/"name":"(startup_complete|shutdown_complete|producer_send_success)"/d
