//go:build !bugs

package bugs

// The planted bugs, all absent: see on.go for what each of them does.
const (
	AckBeforeSync     = false
	AckBesideSync     = false
	AskEarly          = false
	AnnounceEarly     = false
	CheckpointAhead   = false
	CheckpointStays   = false
	CommitOwn         = false
	CutAtStart        = false
	EpochUnfenced     = false
	FolderUnsynced    = false
	FullDiskForgets   = false
	JournalCut        = false
	JournalUnsynced   = false
	MarksStay         = false
	OwnCounted        = false
	OwnsStay          = false
	PowerTermUnsaved  = false
	PowerUnnoticed    = false
	PowerVotes        = false
	ProducersKept     = false
	ProducersLost     = false
	ReadAhead         = false
	RepeatUnseen      = false
	ReplyEarly        = false
	SnapshotLate      = false
	SyncAgain         = false
	TermForgotten     = false
	TermsStay         = false
	UncheckedMessages = false
	UnrelaxedEarly    = false
	VoteUnwritten     = false
	WitnessAhead      = false
	WitnessBlind      = false
	WitnessLeads      = false
	WitnessUnwritten  = false
	ZombieAck         = false
)
