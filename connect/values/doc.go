// Package values has Kafka Connect's rules for turning a value of one kind into another, and how Java writes numbers, dates and
// collections as text. Converters and transforms share them, so that what they give is what Kafka's give.
package values
