// Package record reads, checks and writes record batches, Kafka's format of records on the wire and on disk (version 2,
// KIP-98). A batch:
//
//	 0  base offset        int64    offset of the first record; set by the partition's leader
//	 8  length             int32    bytes from here on
//	12  leader epoch       int32    set by the partition's leader
//	16  magic              int8     2
//	17  crc                uint32   CRC32C of everything that follows
//	21  attributes         int16    bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
//	23  last offset delta  int32    offset of the last record minus base offset
//	27  base timestamp     int64    ms
//	35  max timestamp      int64    ms
//	43  producer id        int64    -1: none
//	51  producer epoch     int16
//	53  base sequence      int32    -1: none
//	57  number of records  int32
//	61  records, compressed as a whole
//
// A record (all numbers zigzag varints, lengths -1 for null):
//
//	length, attributes int8, timestamp delta, offset delta, key length, key, value length, value,
//	number of headers, { key length, key, value length, value }
package record
