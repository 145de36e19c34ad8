// Package log keeps one partition's log on disk. The log is the Raft log: one record batch is one Raft entry.
//
// A partition's folder holds
//
//	<base offset>.log         a segment: frames, one after the other
//	<base offset>.index       where to find offsets, Raft indexes and times in a sealed segment
//	<raft index>.checkpoint   what is needed to open the log without reading it all
//	origin                    while all of it is replaced: the checkpoint of what the log is to be
//	relaxed                   while what is there may have been acknowledged before it was durable
//	forgotten                 while entries that were acknowledged may be missing at the end; it says why
//
// A frame is a record batch, byte for byte as on the wire, or a frame of our own in the same outer layout:
//
//	 0  base offset   int64   the log end offset at that place
//	 8  length        int32   bytes from here on
//	12  leader epoch  int32   Raft term; of a segment header: the term of the entry before
//	16  magic         int8    2: record batch; 87: our own
//	17  crc           uint32  CRC32C of everything that follows; in our own frames, of everything else
//	21  our own:
//	21  kind          uint8   0: segment header; else the kind of a Raft entry that has no offset
//	22  segment header: version uint8 = 1, topic id 16 bytes, partition int32, Raft index of the first entry uint64
//	22  Raft entry: its data
//
// A batch has the term of the entry before it: a new term always begins with a Raft entry of our own. So a damaged epoch,
// which a batch's checksum does not cover, is noticed like any other damage.
//
// Every segment begins with a segment header. The Raft index of an entry is not stored: it is the header's first index
// plus the number of entries before it. Readers never see our own frames: the log knows where the few of them are and gives
// out the runs of batches between them.
//
// The segment that is written to may end with zeros, which are room for what comes next (see room.go). A frame never begins with as
// many zeros as it has bytes before its data.
//
// An index entry is 24 bytes: offset, Raft index (both relative to the segment's), position (all uint32), CRC32C of the rest
// (uint32), and the newest timestamp before that position (int64, ms). The last entry of a sealed segment stands for its end.
//
// A checkpoint covers the log up to a Raft index. It is written after all that it covers was synced. Below it a damaged
// byte is a *CorruptError; above it, after a crash, what is not whole is what was being written, and is cut off and kept
// aside in a .cut file.
//
// What is damaged in a sealed segment is written anew with the entries of another replica, which are the same down to the byte. What
// was there before is kept in a file named <base offset>.<position>.damaged.
package log
