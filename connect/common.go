package connect

import "github.com/weir/weir/connect/sdk"

// commonOptions are those that all connectors have, told as Kafka tells them.
var commonOptions = []sdk.Option{
	{
		Name: "name", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: "Common", Order: 1, Width: "MEDIUM", Display: "Connector name",
		Doc: "Globally unique name to use for this connector.",
	},
	{
		Name: "connector.class", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: "Common", Order: 2, Width: "LONG", Display: "Connector class",
		Doc: "Name or alias of the class for this connector. Must be a subclass of org.apache.kafka.connect.connector.Connector. If the connector is org.apache.kafka.connect.file.FileStreamSinkConnector, you can either specify this full name,  or use \"FileStreamSink\" or \"FileStreamSinkConnector\" to make the configuration a bit shorter",
	},
	{
		Name: "connector.plugin.version", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Group: "Common", Order: 3, Width: "MEDIUM", Display: "Connector version",
		Doc: "Version of the connector.",
	},
	{
		Name: "tasks.max", Kind: sdk.IntOption, Default: "1", Importance: sdk.High, Group: "Common", Order: 4, Width: "SHORT", Display: "Tasks max",
		Doc: "Maximum number of tasks to use for this connector.",
	},
	{
		Name: "tasks.max.enforce", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Common", Order: 5, Width: "SHORT", Display: "Enforce tasks max",
		Doc: "(Deprecated) Whether to enforce that the tasks.max property is respected by the connector. By default, connectors that generate too many tasks will fail, and existing sets of tasks that exceed the tasks.max property will also be failed. If this property is set to false, then connectors will be allowed to generate more than the maximum number of tasks, and existing sets of tasks that exceed the tasks.max property will be allowed to run. This property is deprecated and will be removed in an upcoming major release.",
	},
	{
		Name: "key.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.json.JsonConverter", Importance: sdk.Low, Group: "Common", Order: 6, Width: "SHORT", Display: "Key converter class",
		Doc: "Converter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the keys in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro.",
	},
	{
		Name: "key.converter.plugin.version", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Common", Order: 7, Width: "SHORT", Display: "Key converter version",
		Doc: "Version of the key converter.",
	},
	{
		Name: "value.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.json.JsonConverter", Importance: sdk.Low, Group: "Common", Order: 8, Width: "SHORT", Display: "Value converter class",
		Doc: "Converter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the values in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro.",
	},
	{
		Name: "value.converter.plugin.version", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Common", Order: 9, Width: "SHORT", Display: "Value converter version",
		Doc: "Version of the value converter.",
	},
	{
		Name: "header.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Importance: sdk.Low, Group: "Common", Order: 10, Width: "SHORT", Display: "Header converter class",
		Doc: "HeaderConverter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the header values in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro. By default, the SimpleHeaderConverter is used to serialize header values to strings and deserialize them by inferring the schemas.",
	},
	{
		Name: "header.converter.plugin.version", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Common", Order: 11, Width: "SHORT", Display: "Header converter version",
		Doc: "Version of the header converter.",
	},
	{
		Name: "transforms", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Transforms", Order: 12, Width: "LONG", Display: "Transforms",
		Doc: "Aliases for the transformations to be applied to records.",
	},
	{
		Name: "predicates", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Predicates", Order: 13, Width: "LONG", Display: "Predicates",
		Doc: "Aliases for the predicates used by transformations.",
	},
	{
		Name: "config.action.reload", Kind: sdk.StringOption, Default: "restart", Importance: sdk.Low, Group: "Common", Order: 14, Width: "MEDIUM", Display: "Reload Action",
		Doc: "The action that Connect should take on the connector when changes in external configuration providers result in a change in the connector's configuration properties. A value of 'none' indicates that Connect will do nothing. A value of 'restart' indicates that Connect should restart/reload the connector with the updated configuration properties.The restart may actually be scheduled in the future if the external configuration provider indicates that a configuration value will expire in the future.",
	},
	{
		Name: "errors.retry.timeout", Kind: sdk.LongOption, Default: "0", Importance: sdk.Medium, Group: "Error Handling", Order: 1, Width: "MEDIUM", Display: "Retry Timeout for Errors",
		Doc: "The maximum duration in milliseconds that a failed operation will be reattempted. The default is 0, which means no retries will be attempted. Use -1 for infinite retries.",
	},
	{
		Name: "errors.retry.delay.max.ms", Kind: sdk.LongOption, Default: "60000", Importance: sdk.Medium, Group: "Error Handling", Order: 2, Width: "MEDIUM", Display: "Maximum Delay Between Retries for Errors",
		Doc: "The maximum duration in milliseconds between consecutive retry attempts. Jitter will be added to the delay once this limit is reached to prevent thundering herd issues.",
	},
	{
		Name: "errors.tolerance", Kind: sdk.StringOption, Default: "none", Importance: sdk.Medium, Group: "Error Handling", Order: 3, Width: "SHORT", Display: "Error Tolerance",
		Doc: "Behavior for tolerating errors during connector operation. 'none' is the default value and signals that any error will result in an immediate connector task failure; 'all' changes the behavior to skip over problematic records.",
	},
	{
		Name: "errors.log.enable", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Error Handling", Order: 4, Width: "SHORT", Display: "Log Errors",
		Doc: "If true, write each error and the details of the failed operation and problematic record to the Connect application log. This is 'false' by default, so that only errors that are not tolerated are reported.",
	},
	{
		Name: "errors.log.include.messages", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Error Handling", Order: 5, Width: "SHORT", Display: "Log Error Details",
		Doc: "Whether to include in the log the Connect record that resulted in a failure. For sink records, the topic, partition, offset, and timestamp will be logged. For source records, the key and value (and their schemas), all headers, and the timestamp, Kafka topic, Kafka partition, source partition, and source offset will be logged. This is 'false' by default, which will prevent record keys, values, and headers from being written to log files.",
	},
}

// sourceOptions are those that all sources have besides.
var sourceOptions = []sdk.Option{
	{
		Name: "topic.creation.groups", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Topic Creation", Order: 1, Width: "LONG", Display: "Topic Creation Groups",
		Doc: "Groups of configurations for topics created by source connectors",
	},
	{
		Name: "exactly.once.support", Kind: sdk.StringOption, Default: "requested", Importance: sdk.Medium, Group: "Exactly Once Support", Order: 2, Width: "SHORT", Display: "Exactly once support",
		Doc: "Permitted values are requested, required. If set to \"required\", forces a preflight check for the connector to ensure that it can provide exactly-once semantics with the given configuration. Some connectors may be capable of providing exactly-once semantics but not signal to Connect that they support this; in that case, documentation for the connector should be consulted carefully before creating it, and the value for this property should be set to \"requested\". Additionally, if the value is set to \"required\" but the worker that performs preflight validation does not have exactly-once support enabled for source connectors, requests to create or validate the connector will fail.",
	},
	{
		Name: "transaction.boundary", Kind: sdk.StringOption, Default: "poll", Importance: sdk.Medium, Group: "Exactly Once Support", Order: 3, Width: "SHORT", Display: "Transaction Boundary",
		Doc: "Permitted values are: poll, interval, connector. If set to 'poll', a new producer transaction will be started and committed for every batch of records that each task from this connector provides to Connect. If set to 'connector', relies on connector-defined transaction boundaries; note that not all connectors are capable of defining their own transaction boundaries, and in that case, attempts to instantiate a connector with this value will fail. Finally, if set to 'interval', commits transactions only after a user-defined time interval has passed.",
	},
	{
		Name: "transaction.boundary.interval.ms", Kind: sdk.LongOption, NoDefault: true, Importance: sdk.Low, Group: "Exactly Once Support", Order: 4, Width: "SHORT", Display: "Transaction boundary interval",
		Doc: "If 'transaction.boundary' is set to 'interval', determines the interval for producer transaction commits by connector tasks. If unset, defaults to the value of the worker-level 'offset.flush.interval.ms' property. It has no effect if a different transaction.boundary is specified.",
	},
	{
		Name: "offsets.storage.topic", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "offsets.topic", Order: 1, Width: "LONG", Display: "Offsets topic",
		Doc: "The name of a separate offsets topic to use for this connector. If empty or not specified, the worker’s global offsets topic name will be used. If specified, the offsets topic will be created if it does not already exist on the Kafka cluster targeted by this connector (which may be different from the one used for the worker's global offsets topic if the bootstrap.servers property of the connector's producer has been overridden from the worker's). Only applicable in distributed mode; in standalone mode, setting this property will have no effect.",
	},
}

// sinkOptions are those that all sinks have besides.
var sinkOptions = []sdk.Option{
	{
		Name: "topics", Kind: sdk.ListOption, Importance: sdk.High, Group: "Common", Order: 4, Width: "LONG", Display: "Topics",
		Doc: "List of topics to consume, separated by commas",
	},
	{
		Name: "topics.regex", Kind: sdk.StringOption, Importance: sdk.High, Group: "Common", Order: 4, Width: "LONG", Display: "Topics regex",
		Doc: "Regular expression giving topics to consume. Under the hood, the regex is compiled to a <code>java.util.regex.Pattern</code>. Only one of topics or topics.regex should be specified.",
	},
	{
		Name: "errors.deadletterqueue.topic.name", Kind: sdk.StringOption, Importance: sdk.Medium, Group: "Error Handling", Order: 6, Width: "MEDIUM", Display: "Dead Letter Queue Topic Name",
		Doc: "The name of the topic to be used as the dead letter queue (DLQ) for messages that result in an error when processed by this sink connector, or its transformations or converters. The topic name is blank by default, which means that no messages are to be recorded in the DLQ.",
	},
	{
		Name: "errors.deadletterqueue.topic.replication.factor", Kind: sdk.ShortOption, Default: "3", Importance: sdk.Medium, Group: "Error Handling", Order: 7, Width: "MEDIUM", Display: "Dead Letter Queue Topic Replication Factor",
		Doc: "Replication factor used to create the dead letter queue topic when it doesn't already exist.",
	},
	{
		Name: "errors.deadletterqueue.context.headers.enable", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Error Handling", Order: 8, Width: "MEDIUM", Display: "Enable Error Context Headers",
		Doc: "If true, add headers containing error context to the messages written to the dead letter queue. To avoid clashing with headers from the original record, all error context header keys, all error context header keys will start with <code>__connect.errors.</code>",
	},
}
