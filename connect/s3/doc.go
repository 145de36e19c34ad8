// Package s3 writes records to files in an S3-compatible object store and reads them back: with the class names, options and file names of
// Confluent's and Aiven's S3 sinks and Confluent's S3 source.
//
// Files are committed exactly once. What one partition of a topic has given since its last commit is a batch: one file for each folder that
// its records belong to. When a rule says that the batch is full, its files are put, and only then the offset after it is kept.
// Rules that look at nothing but the records (flush.size, rotate.interval.ms) close the same batches after a crash, so that the same files
// come again under the same names. The time of day closes batches only where offsets are kept at once, and only when all is read that was there
// when the task began: so what a crash left behind is replaced as well.
package s3

import "github.com/weir/weir/connect/sdk"

// Connectors are those of this package.
func Connectors() []sdk.Connector { return []sdk.Connector{confluentSink{}, aivenSink{}, source{}} }
