//go:build bugs

package bugs

// The planted bugs. At most one is on.
var (
	AckBeforeSync     bool
	AckBesideSync     bool
	AskEarly          bool
	AnnounceEarly     bool
	CheckpointAhead   bool
	CheckpointStays   bool
	CommitOwn         bool
	CutAtStart        bool
	EpochUnfenced     bool
	FolderUnsynced    bool
	FullDiskForgets   bool
	JournalCut        bool
	JournalUnsynced   bool
	MarksStay         bool
	OwnCounted        bool
	OwnsStay          bool
	ProducersKept     bool
	ProducersLost     bool
	ReadAhead         bool
	RepeatUnseen      bool
	SnapshotLate      bool
	SyncAgain         bool
	TermForgotten     bool
	TermsStay         bool
	UncheckedMessages bool
	VoteUnwritten     bool
	ZombieAck         bool
)

// Bug is a planted bug.
type Bug struct {
	Name   string // of the variable
	On     *bool
	Within int // seeds of the simulator, from 1 on, of which one finds it
	What   string
}

// All are the planted bugs.
var All = []Bug{
	{"AckBeforeSync", &AckBeforeSync, 400, "a group answers others and itself before what it wrote is synced"},
	{"AckBesideSync", &AckBesideSync, 400, "a finished round of syncs answers also for what was written while it was under way"},
	{"AnnounceEarly", &AnnounceEarly, 400, "a leader serves before an entry of its own term is committed"},
	{"AskEarly", &AskEarly, 400, "a candidate asks for votes before its own is durable"},
	{"CheckpointAhead", &CheckpointAhead, 400, "a checkpoint is written before what it covers is synced"},
	{"CheckpointStays", &CheckpointStays, 400, "a log that is cut back keeps the checkpoints of what was cut off"},
	{"CommitOwn", &CommitOwn, 400, "a leader raises the high watermark to the end of its own log"},
	{"CutAtStart", &CutAtStart, 400, "a start forgets entries that were not known to be committed"},
	{"EpochUnfenced", &EpochUnfenced, 400, "a producer's old epoch may go on writing"},
	{"FolderUnsynced", &FolderUnsynced, 400, "the name of a new segment is not synced"},
	{"FullDiskForgets", &FullDiskForgets, 400, "what a full disk let through of an append is cut off, and with it what is known of later proposals"},
	{"JournalCut", &JournalCut, 400, "a start reads an older state of the voter journal"},
	{"JournalUnsynced", &JournalUnsynced, 400, "votes are written and not synced"},
	{"MarksStay", &MarksStay, 400, "a log that is cut back keeps in mind where entries were that were cut off"},
	{"OwnCounted", &OwnCounted, 400, "the entry that begins a term counts as a record in the high watermark"},
	{"OwnsStay", &OwnsStay, 400, "a log that is cut back keeps raft's own entries that were cut off"},
	{"ProducersKept", &ProducersKept, 400, "a log that is cut back keeps what is known of producers from what was cut off"},
	{"ProducersLost", &ProducersLost, 400, "a new leader knows nothing of producers"},
	{"ReadAhead", &ReadAhead, 400, "reads go beyond the high watermark"},
	{"RepeatUnseen", &RepeatUnseen, 400, "a repeated batch is appended again"},
	{"SnapshotLate", &SnapshotLate, 400, "the snapshot of producers lacks the newest batch of each"},
	{"SyncAgain", &SyncAgain, 400, "a sync that failed is tried again, and its success believed"},
	{"TermForgotten", &TermForgotten, 400, "a start takes the term from the log, and not from the voter journal"},
	{"TermsStay", &TermsStay, 400, "a log that is cut back keeps the terms that were cut off"},
	{"UncheckedMessages", &UncheckedMessages, 400, "a follower does not check the batches that come to it"},
	{"VoteUnwritten", &VoteUnwritten, 400, "votes are not written down"},
	{"ZombieAck", &ZombieAck, 400, "a leader that is deposed acknowledges what it could not commit"},
}
