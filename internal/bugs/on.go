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
	PowerTermUnsaved  bool
	PowerUnnoticed    bool
	PowerVotes        bool
	ProducersKept     bool
	ProducersLost     bool
	ReadAhead         bool
	RepeatUnseen      bool
	ReplyEarly        bool
	SnapshotLate      bool
	SyncAgain         bool
	TermForgotten     bool
	TermsStay         bool
	UncheckedMessages bool
	UnrelaxedEarly    bool
	VoteUnwritten     bool
	WitnessAhead      bool
	WitnessBlind      bool
	WitnessLeads      bool
	WitnessUnwritten  bool
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
	{"AckBeforeSync", &AckBeforeSync, 1000, "a group answers others and itself before what it wrote is synced"},
	{"AckBesideSync", &AckBesideSync, 1000, "a finished round of syncs answers also for what was written while it was under way"},
	{"AnnounceEarly", &AnnounceEarly, 1000, "a leader serves before an entry of its own term is committed"},
	{"AskEarly", &AskEarly, 1000, "a candidate asks for votes before its own is durable"},
	{"CheckpointAhead", &CheckpointAhead, 1000, "a checkpoint is written before what it covers is synced"},
	{"CheckpointStays", &CheckpointStays, 1000, "a log that is cut back keeps the checkpoints of what was cut off"},
	{"CommitOwn", &CommitOwn, 1000, "a leader raises the high watermark to the end of its own log"},
	{"CutAtStart", &CutAtStart, 1000, "a start forgets entries that were not known to be committed"},
	{"EpochUnfenced", &EpochUnfenced, 1000, "a producer's old epoch may go on writing"},
	{"FolderUnsynced", &FolderUnsynced, 1000, "the name of a new segment is not synced"},
	{"FullDiskForgets", &FullDiskForgets, 1000, "what a full disk let through of an append is cut off, and with it what is known of later proposals"},
	{"JournalCut", &JournalCut, 1000, "a start reads an older state of the voter journal"},
	{"JournalUnsynced", &JournalUnsynced, 1000, "votes are written and not synced"},
	{"MarksStay", &MarksStay, 1000, "a log that is cut back keeps in mind where entries were that were cut off"},
	{"OwnCounted", &OwnCounted, 1000, "the entry that begins a term counts as a record in the high watermark"},
	{"OwnsStay", &OwnsStay, 1000, "a log that is cut back keeps raft's own entries that were cut off"},
	{"PowerTermUnsaved", &PowerTermUnsaved, 2000, "a replica that lost its power answers in a later term that is not durable"},
	{"PowerUnnoticed", &PowerUnnoticed, 1000, "a replica of a relaxed partition goes on after a power failure as if it had lost nothing"},
	{"PowerVotes", &PowerVotes, 1000, "a replica that lost its power votes before it has what it acknowledged"},
	{"ProducersKept", &ProducersKept, 1000, "a log that is cut back keeps what is known of producers from what was cut off"},
	{"ProducersLost", &ProducersLost, 1000, "a new leader knows nothing of producers"},
	{"ReadAhead", &ReadAhead, 1000, "reads go beyond the high watermark"},
	{"RepeatUnseen", &RepeatUnseen, 1000, "a repeated batch is appended again"},
	{"ReplyEarly", &ReplyEarly, 1000, "a coordinator answers before what it decided is committed"},
	{"SnapshotLate", &SnapshotLate, 1000, "the snapshot of producers lacks the newest batch of each"},
	{"SyncAgain", &SyncAgain, 1000, "a sync that failed is tried again, and its success believed"},
	{"TermForgotten", &TermForgotten, 1000, "a start takes the term from the log, and not from the voter journal"},
	{"TermsStay", &TermsStay, 1000, "a log that is cut back keeps the terms that were cut off"},
	{"UncheckedMessages", &UncheckedMessages, 1000, "a follower does not check the batches that come to it"},
	{"UnrelaxedEarly", &UnrelaxedEarly, 2000, "a partition counts as one that loses nothing before what was written is synced"},
	{"VoteUnwritten", &VoteUnwritten, 1000, "votes are not written down"},
	{"WitnessAhead", &WitnessAhead, 1000, "a witness is shown what a replica lacks that is told to be in sync"},
	{"WitnessBlind", &WitnessBlind, 1000, "a witness votes for a replica that lacks what it was shown"},
	{"WitnessLeads", &WitnessLeads, 1000, "a witness comes to lead"},
	{"WitnessUnwritten", &WitnessUnwritten, 1000, "a witness does not write down which entries it has"},
	{"ZombieAck", &ZombieAck, 1000, "a leader that is deposed acknowledges what it could not commit"},
}
