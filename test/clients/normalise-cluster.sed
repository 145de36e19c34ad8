# In a cluster, who has a partition and who leads it is the cluster's choice, and one that has been killed is behind for a moment.
s/\b([Ll]eader:?) [123]\b/\1 N/
s/\b([Rr]eplicas:?) (\[ ?[123],? [123],? [123] ?\]|[123],[123],[123])/\1 3/
s/\bin sync (\[ ?[123](,? [123])* ?\]|[123])/in sync N/
s/\bisrs: [123](,[123])*/isrs: N/
s/ \(controller\)$//
s/\bIsr: [123](,[123])*/Isr: N/
s/\b(listed segmentio|brokers \[1 2 3\]|brokers 3|cluster 3) [123]\b/\1 N/
s/^(\w+ +HOST:PORT +)\([123]\)/\1(N)/
s/^HOST:PORT \(id: [123] rack/HOST:PORT (id: N rack/
# the leader's epoch tells how often the leader was another
s/^(billing +orders +[01] +)[0-9]+ /\1E /
# and what is elected depends on who leads
/^(Successfully completed leader election \(PREFERRED\)|Valid replica already elected) for partitions/d
s/\bEpoch: [0-9]+$/Epoch: N/
# a consumer that has read all it wants commits offsets of the empty partitions on other brokers only if it has heard of them by then
/^(billing|pattern|shape) +[a-z]+ +[0-9]+ +0 +0 +0 /d
