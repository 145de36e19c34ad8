package opensearch

import (
	"slices"
	"strings"
	"sync"

	"github.com/weir/weir/connect/sdk"
)

var optionTables = [...]func() []sdk.Option{
	aiven: sync.OnceValue(func() []sdk.Option {
		return slices.Concat(commonOptions(), aivenOptions(), tlsOptions("connection.ssl."))
	}),
	confluent: sync.OnceValue(func() []sdk.Option {
		return slices.Concat(commonOptions(), confluentOptions(), tlsOptions("elastic.https.ssl."))
	}),
}

func oneOf(list ...string) func(sdk.Values) []string {
	return func(sdk.Values) []string { return list }
}

// commonOptions are those that both connectors have.
func commonOptions() []sdk.Option {
	return []sdk.Option{
		{Name: "connection.url", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Group: "Connector", Order: 1, Width: "LONG", Display: "Connection URLs", Check: checkURLs,
			Doc: "URLs of the servers, such as http://search1:9200,http://search2:9200. If one does not answer, the next is asked."},
		{Name: "connection.username", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Group: "Connector", Order: 2, Width: "SHORT", Display: "Connection Username",
			Doc: "User to connect as."},
		{Name: "connection.password", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.Medium, Group: "Connector", Order: 3, Width: "SHORT", Display: "Connection Password",
			Doc: "The user's password."},
		{Name: "batch.size", Kind: sdk.IntOption, Default: "2000", Importance: sdk.Medium, Group: "Connector", Order: 10, Width: "SHORT", Display: "Batch Size", Check: sdk.AtLeast(1),
			Doc: "The most records of one bulk request."},
		{Name: "bulk.size.bytes", Kind: sdk.LongOption, Default: "5242880", Importance: sdk.Low, Group: "Connector", Order: 11, Width: "SHORT", Display: "Bulk Size (bytes)", Check: sdk.AtLeast(-1),
			Doc: "The most bytes of one bulk request; a larger document is sent alone. -1: any number."},
		{Name: "max.in.flight.requests", Kind: sdk.IntOption, Default: "5", Importance: sdk.Medium, Group: "Connector", Order: 12, Width: "SHORT", Display: "Max In-flight Requests", Check: sdk.AtLeast(1),
			Doc: "How many bulk requests a task has under way at once. The order of what is for one document is kept all the same."},
		{Name: "max.buffered.records", Kind: sdk.IntOption, Default: "20000", Importance: sdk.Low, Group: "Connector", Order: 13, Width: "SHORT", Display: "Max Buffered Records", Check: sdk.AtLeast(1),
			Doc:      "Has no effect here: no more is buffered than was read at once; see consumer.override.max.poll.records.",
			NoEffect: "no more is buffered than was read at once; see consumer.override.max.poll.records"},
		{Name: "linger.ms", Kind: sdk.LongOption, Default: "1", Importance: sdk.Low, Group: "Connector", Order: 14, Width: "SHORT", Display: "Linger (ms)", Check: sdk.AtLeast(0),
			Doc: "How long to wait, in milliseconds, after fewer records than batch.size were written, so that the next request has more."},
		{Name: "flush.timeout.ms", Kind: sdk.LongOption, Default: "180000", Importance: sdk.Low, Group: "Connector", Order: 15, Width: "SHORT", Display: "Flush Timeout (ms)", Check: sdk.AtLeast(1),
			Doc: "How long it may take to write what was read together, in milliseconds; then the task fails, and starts again by itself. If it is not set: any time."},
		{Name: "max.retries", Kind: sdk.IntOption, Default: "5", Importance: sdk.Low, Group: "Connector", Order: 16, Width: "SHORT", Display: "Max Retries", Check: sdk.AtLeast(0),
			Doc: "How often a request is tried again before the task fails, which then starts again by itself. If it is not set: until it succeeds; the task's status tells of it."},
		{Name: "retry.backoff.ms", Kind: sdk.LongOption, Default: "100", Importance: sdk.Low, Group: "Connector", Order: 17, Width: "SHORT", Display: "Retry Backoff (ms)", Check: sdk.AtLeast(0),
			Doc: "How long to wait before a request is tried again, in milliseconds; each time twice as long."},
		{Name: "connection.compression", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "Connector", Order: 18, Width: "SHORT", Display: "Compression",
			Doc: "Whether requests are compressed with gzip."},
		{Name: "connection.timeout.ms", Kind: sdk.IntOption, Default: "1000", Importance: sdk.Low, Group: "Connector", Order: 19, Width: "SHORT", Display: "Connection Timeout", Check: sdk.AtLeast(0),
			Doc: "How long a connection may take to be made, in milliseconds; 0: for ever."},
		{Name: "read.timeout.ms", Kind: sdk.IntOption, Default: "3000", Importance: sdk.Low, Group: "Connector", Order: 20, Width: "SHORT", Display: "Read Timeout", Check: sdk.AtLeast(0),
			Doc: "How long an answer may take, in milliseconds; a request that is tried again may take twice as long each time. 0: for ever."},

		{Name: "key.ignore", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.High, Group: "Data Conversion", Order: 1, Width: "SHORT", Display: "Ignore Key mode",
			Doc: "Whether a document's id is not the record's key but its topic+partition+offset."},
		{Name: "schema.ignore", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "Data Conversion", Order: 2, Width: "SHORT", Display: "Ignore Schema mode",
			Doc: "Whether no mapping is made from the schemas of records, so that the server or an index template decides."},
		{Name: "compact.map.entries", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Data Conversion", Order: 3, Width: "SHORT", Display: "Compact Map Entries",
			Doc: "Whether maps with strings as keys are written as objects; else as arrays of objects with key and value."},
		{Name: "topic.key.ignore", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Data Conversion", Order: 4, Width: "LONG", Display: "Topics for 'Ignore Key' mode",
			Doc: "Topics for which key.ignore is true."},
		{Name: "topic.schema.ignore", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Data Conversion", Order: 5, Width: "LONG", Display: "Topics for 'Ignore Schema' mode",
			Doc: "Topics for which schema.ignore is true."},
		{Name: "topic.index.map", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Data Conversion", Order: 6, Width: "LONG", Display: "Topic to Index Map", Check: checkPairs,
			Doc: "Indices of topics, as topic:index, where they are not named as the topic. A transform, such as RegexRouter or TimestampRouter, can do the same."},
		{Name: "drop.invalid.message", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "Data Conversion", Order: 7, Width: "LONG", Display: "Drop invalid messages",
			Doc: "Whether records that cannot be made a document are passed over."},
		{Name: "behavior.on.malformed.documents", Kind: sdk.StringOption, Default: "fail", Importance: sdk.Low, Group: "Data Conversion", Order: 8, Width: "SHORT", Display: "Behavior on malformed documents",
			Doc:         "What happens with documents that the server refuses, as they do not fit the mapping: ignore and warn pass them over; fail and report do as errors.tolerance says, which may be the dead-letter topic.",
			Recommended: oneOf("ignore", "warn", "fail", "report"), Check: sdk.OneOf("ignore", "warn", "fail", "report")},
		{Name: "type.name", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Data Conversion", Order: 9, Width: "SHORT", Display: "Type Name",
			Doc:      "Has no effect here: indices have had no types since Elasticsearch 7.",
			NoEffect: "indices have had no types since Elasticsearch 7"},
	}
}

// aivenOptions are those that only Aiven's connector has.
func aivenOptions() []sdk.Option {
	return []sdk.Option{
		{Name: "behavior.on.null.values", Kind: sdk.StringOption, Default: "ignore", Importance: sdk.Low, Group: "Data Conversion", Order: 20, Width: "SHORT", Display: "Behavior for null-valued records",
			Doc:         "What happens with tombstones: ignore, delete the document, or fail.",
			Recommended: oneOf("ignore", "delete", "fail"), Check: sdk.OneOf("ignore", "delete", "fail")},
		{Name: "behavior.on.version.conflict", Kind: sdk.StringOption, Default: "ignore", Importance: sdk.Low, Group: "Data Conversion", Order: 21, Width: "SHORT", Display: "Behavior on document's version conflict (optimistic locking)",
			Doc:         "What happens with a record when the document has a newer version, as after a restart, which sends records again: ignore, warn, report or fail.",
			Recommended: oneOf("ignore", "warn", "fail", "report"), Check: sdk.OneOf("ignore", "warn", "fail", "report")},
		{Name: "index.write.method", Kind: sdk.StringOption, Default: "insert", Importance: sdk.Low, Group: "Data Conversion", Order: 22, Width: "SHORT", Display: "Index write method",
			Doc:         "insert replaces a document; upsert changes only those fields that the record has.",
			Recommended: oneOf("insert", "upsert"), Check: sdk.OneOf("insert", "upsert")},
		{Name: "key.ignore.id.strategy", Kind: sdk.StringOption, Default: "topic.partition.offset", Importance: sdk.Low, Group: "Data Conversion", Order: 23, Width: "LONG", Display: "Document ID generation strategy",
			Doc:         "What a document's id is with key.ignore: topic.partition.offset, record.key, or none, so that the server chooses; then a record that is sent again becomes another document.",
			Recommended: oneOf("none", "record.key", "topic.partition.offset"), Check: sdk.OneOf("none", "record.key", "topic.partition.offset")},
		{Name: "data.stream.enabled", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Data Stream", Order: 1, Width: "LONG", Display: "Data streams",
			Doc: "Whether records are written to data streams, which are made if they are not there."},
		{Name: "data.stream.prefix", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Group: "Data Stream", Order: 2, Width: "LONG", Display: "Data stream prefix",
			Doc: "The data stream is named prefix-topic with it."},
		{Name: "data.stream.timestamp.field", Kind: sdk.StringOption, Default: "@timestamp", Importance: sdk.Medium, Group: "Data Stream", Order: 3, Width: "LONG", Display: "Data stream timestamp field",
			Doc: "The field with a document's time. @timestamp is the record's time if the record has no such field."},
		{Name: "data.streams.existing.index.template.name", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Medium, Group: "Data Stream", Order: 4, Width: "LONG", Display: "Index template",
			Doc: "Index template of the data streams. It is made if it is not there."},
		{Name: "connection.trust.all.certificates", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "TLS", Order: 1, Width: "SHORT", Display: "Trust all certificates",
			Doc: "Whether the server's certificate is not checked."},
		{Name: "aws.access_key_id", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "AWS", Order: 1, Width: "LONG", Display: "AWS access key",
			Doc: "Requests are not signed for AWS.", Unsupported: noAWS},
		{Name: "aws.secret_access_key", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.Low, Group: "AWS", Order: 2, Width: "LONG", Display: "AWS secret key",
			Doc: "Requests are not signed for AWS.", Unsupported: noAWS},
		{Name: "aws.region", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "AWS", Order: 3, Width: "LONG", Display: "AWS region",
			Doc: "Requests are not signed for AWS.", Unsupported: noAWS},
	}
}

const noAWS = "requests are not signed for AWS; let the domain take a user and a password"

// confluentOptions are those that only Confluent's connector has.
func confluentOptions() []sdk.Option {
	return []sdk.Option{
		{Name: "behavior.on.null.values", Kind: sdk.StringOption, Default: "fail", Importance: sdk.Low, Group: "Data Conversion", Order: 20, Width: "SHORT", Display: "Behavior for null-valued records",
			Doc:         "What happens with tombstones: ignore, delete the document, or fail.",
			Recommended: oneOf("ignore", "delete", "fail"), Check: sdk.OneOf("ignore", "delete", "fail")},
		{Name: "external.version.header", Kind: sdk.StringOption, Importance: sdk.Low, Group: "Data Conversion", Order: 21, Width: "SHORT", Display: "External Version Header Name",
			Doc: "Header with the version of a document, a whole number; without it the version is the record's offset."},
		{Name: "write.method", Kind: sdk.StringOption, Default: "INSERT", Importance: sdk.Low, Group: "Data Conversion", Order: 22, Width: "SHORT", Display: "Write Method",
			Doc:         "insert replaces a document; upsert changes only those fields that the record has.",
			Recommended: oneOf("insert", "upsert"), Check: sdk.OneOf("insert", "upsert")},
		{Name: "use.autogenerated.ids", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Group: "Connector", Order: 30, Width: "SHORT", Display: "Elasticsearch Generated IDs",
			Doc: "Whether the server chooses ids; then a record that is sent again becomes another document."},
		{Name: "external.resource.usage", Kind: sdk.StringOption, Default: "DISABLED", Importance: sdk.High, Group: "Connector", Order: 4, Width: "SHORT", Display: "External Resource Usage",
			Doc:         "What the names in topic.to.external.resource.mapping are: they have to be there. DISABLED: indices or data streams are made as topics need them.",
			Recommended: oneOf("INDEX", "DATASTREAM", "ALIAS_INDEX", "ALIAS_DATASTREAM", "DISABLED"), Check: sdk.OneOf("INDEX", "DATASTREAM", "ALIAS_INDEX", "ALIAS_DATASTREAM", "DISABLED")},
		{Name: "topic.to.external.resource.mapping", Kind: sdk.ListOption, Importance: sdk.High, Group: "Connector", Order: 5, Width: "LONG", Display: "Topic to External Resource Mapping", Check: checkPairs,
			Doc: "Where the records of topics go, as topic:resource."},
		{Name: "max.external.resource.mappings", Kind: sdk.IntOption, Default: "15", Importance: sdk.Medium, Group: "Connector", Order: 6, Width: "SHORT", Display: "Maximum External Resource Mappings", Check: sdk.AtLeast(1),
			Doc:      "Has no effect here: there may be any number.",
			NoEffect: "there may be any number"},
		{Name: "data.stream.type", Kind: sdk.StringOption, Default: "NONE", Importance: sdk.Low, Group: "Connector", Order: 7, Width: "SHORT", Display: "Data Stream Type",
			Doc:         "With data.stream.dataset: records are written to the data stream type-dataset-namespace, which is made if it is not there.",
			Recommended: oneOf("logs", "metrics", "none")},
		{Name: "data.stream.dataset", Kind: sdk.StringOption, Importance: sdk.Low, Group: "Connector", Order: 8, Width: "MEDIUM", Display: "Data Stream Dataset",
			Doc: "The second part of a data stream's name."},
		{Name: "data.stream.namespace", Kind: sdk.StringOption, Default: "${topic}", Importance: sdk.Low, Group: "Connector", Order: 9, Width: "MEDIUM", Display: "Data Stream Namespace",
			Doc: "The third part of a data stream's name; ${topic} stands for the topic."},
		{Name: "data.stream.timestamp.field", Kind: sdk.ListOption, Importance: sdk.Low, Group: "Connector", Order: 9, Width: "LONG", Display: "Data Stream Timestamp Field",
			Doc: "Fields of which the first that a record has becomes @timestamp; without it the record's time."},
		{Name: "flush.synchronously", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: "Connector", Order: 31, Width: "SHORT", Display: "Flush synchronously",
			Doc:      "Has no effect here: transforms may change topics anyway.",
			NoEffect: "transforms may change topics anyway"},
		{Name: "max.connection.idle.time.ms", Kind: sdk.IntOption, Default: "60000", Importance: sdk.Low, Group: "Connector", Order: 32, Width: "SHORT", Display: "Max Connection Idle Time", Check: sdk.AtLeast(-1),
			Doc: "How long a connection may be idle before it is closed, in milliseconds; -1: for ever."},
		{Name: "auto.create.indices.at.start", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Connector", Order: 33, Width: "SHORT", Display: "Create indices at startup",
			Doc:      "Has no effect here: an index is made when the first record for it comes.",
			NoEffect: "an index is made when the first record for it comes"},
		{Name: "proxy.host", Kind: sdk.StringOption, Importance: sdk.Low, Group: "Proxy", Order: 1, Width: "LONG", Display: "Proxy Host",
			Doc: "Host of an HTTP proxy to connect by."},
		{Name: "proxy.port", Kind: sdk.IntOption, Default: "8080", Importance: sdk.Low, Group: "Proxy", Order: 2, Width: "LONG", Display: "Proxy Port", Check: sdk.AtLeast(1),
			Doc: "The proxy's port."},
		{Name: "proxy.username", Kind: sdk.StringOption, Importance: sdk.Low, Group: "Proxy", Order: 3, Width: "LONG", Display: "Proxy Username",
			Doc: "User for the proxy."},
		{Name: "proxy.password", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.Low, Group: "Proxy", Order: 4, Width: "LONG", Display: "Proxy Password",
			Doc: "The user's password for the proxy."},
		{Name: "elastic.security.protocol", Kind: sdk.StringOption, Default: "PLAINTEXT", Importance: sdk.Medium, Group: "Security", Order: 1, Width: "SHORT", Display: "Security protocol",
			Doc:         "SSL: the options elastic.https.ssl.* count.",
			Recommended: oneOf("PLAINTEXT", "SSL"), Check: sdk.OneOf("PLAINTEXT", "SSL")},
		{Name: "kerberos.user.principal", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Kerberos", Order: 1, Width: "LONG", Display: "Kerberos User Principal",
			Doc: "Kerberos is not spoken.", Unsupported: noKerberos},
		{Name: "kerberos.keytab.path", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: "Kerberos", Order: 2, Width: "LONG", Display: "Kerberos Keytab File Path",
			Doc: "Kerberos is not spoken.", Unsupported: noKerberos},
	}
}

const noKerberos = "Kerberos is not spoken; use a user and a password"

// tlsOptions are Kafka's for TLS. Stores have to be PEM.
func tlsOptions(prefix string) []sdk.Option {
	const pem = "only stores of the type PEM can be read; write the certificates as PEM"
	option := func(name string, kind sdk.Kind, doc string) sdk.Option {
		return sdk.Option{Name: prefix + name, Kind: kind, NoDefault: true, Importance: sdk.Low, Group: "TLS", Order: 10, Width: "LONG", Doc: doc}
	}
	all := []sdk.Option{
		option("truststore.type", sdk.StringOption, "PEM."),
		option("truststore.location", sdk.StringOption, "File with the certificates of authorities to trust, as PEM."),
		option("truststore.password", sdk.PasswordOption, "Has no effect here: PEM files with certificates have none."),
		option("truststore.certificates", sdk.PasswordOption, "The certificates of authorities to trust, as PEM."),
		option("keystore.type", sdk.StringOption, "PEM."),
		option("keystore.location", sdk.StringOption, "File with the client's certificate and its key, as PEM."),
		option("keystore.password", sdk.PasswordOption, "Keys have to be without one."),
		option("keystore.certificate.chain", sdk.PasswordOption, "The client's certificate, as PEM."),
		option("keystore.key", sdk.PasswordOption, "The key of the client's certificate, as PEM."),
		option("key.password", sdk.PasswordOption, "Keys have to be without one."),
		option("endpoint.identification.algorithm", sdk.StringOption, "Empty: the server's certificate may be for another host."),
		option("protocol", sdk.StringOption, "Has no effect here: the newest version is spoken that the server has."),
		option("enabled.protocols", sdk.ListOption, "Has no effect here: the newest version is spoken that the server has."),
		option("cipher.suites", sdk.ListOption, "Has no effect here: only safe ones are used."),
		option("provider", sdk.StringOption, "Has no effect here: it is for Java."),
		option("keymanager.algorithm", sdk.StringOption, "Has no effect here: it is for Java."),
		option("trustmanager.algorithm", sdk.StringOption, "Has no effect here: it is for Java."),
		option("secure.random.implementation", sdk.StringOption, "Has no effect here: it is for Java."),
		option("engine.factory.class", sdk.ClassOption, "Classes of Java cannot be loaded."),
	}
	for i := range all {
		if _, why, idle := strings.Cut(all[i].Doc, "Has no effect here: "); idle {
			all[i].NoEffect = strings.TrimSuffix(why, ".")
		}
		switch all[i].Name[len(prefix):] {
		case "truststore.type", "keystore.type":
			all[i].Default, all[i].NoDefault = "PEM", false
			all[i].Unsupported = pem
		case "keystore.password", "key.password":
			all[i].Unsupported = "keys have to be without a password"
		case "engine.factory.class":
			all[i].Unsupported = "classes of Java cannot be loaded"
		}
	}
	return all
}
