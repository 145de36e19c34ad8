// Package connect is a worker of Kafka Connect: it runs connectors, alone or as one of a group, and has Connect's REST API. Workers of a
// group find each other by Kafka's group protocol, and keep all they know in three compacted topics, in the formats of Kafka's own
// workers; what they decide is in package herder, how a task runs in package runtime.
//
//	            REST ──▶ handle ──▶ herd (create, change, delete: by the leader; others forward)
//	                                  │ records
//	config topic, status topic ◀──────┘
//	      │ follow
//	      ▼
//	   state ──▶ member (who runs what) ──▶ slots (connectors and tasks, each started and stopped by itself)
//
// The REST API:
//
//	GET    /                                        version, commit, kafka_cluster_id
//	GET    /health                                  200 healthy, 503 starting
//	GET    /connectors[?expand=status&expand=info]  names, or what is known of each
//	POST   /connectors                              create
//	GET    /connectors/{c}                          name, config, tasks, type
//	DELETE /connectors/{c}
//	GET    /connectors/{c}/config
//	PUT    /connectors/{c}/config                   create or change
//	PATCH  /connectors/{c}/config                   change some; null removes
//	GET    /connectors/{c}/status[?details=true]    with details also cause, lag and throughput, which Kafka's workers do not tell
//	GET    /connectors/{c}/tasks
//	GET    /connectors/{c}/tasks/{n}/status
//	POST   /connectors/{c}/tasks/{n}/restart
//	PUT    /connectors/{c}/pause, resume, stop
//	POST   /connectors/{c}/restart[?includeTasks&onlyFailed]
//	GET    /connectors/{c}/topics
//	PUT    /connectors/{c}/topics/reset
//	GET    /connectors/{c}/offsets
//	PATCH  /connectors/{c}/offsets                  of a stopped one
//	DELETE /connectors/{c}/offsets                  of a stopped one
//	GET    /connector-plugins[?connectorsOnly=false]
//	GET    /connector-plugins/{p}/config
//	PUT    /connector-plugins/{p}/config/validate
//	GET    /admin/loggers[/{logger}]
//	PUT    /admin/loggers/{logger}[?scope=cluster]
//	GET    /metrics                                 for Prometheus
//	POST   /connectors/{c}/tasks                    from other workers, signed
//	PUT    /connectors/{c}/fence                    from other workers, signed
package connect
