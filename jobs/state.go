package jobs

import "time"

// State is state.yaml, written by the owner. Zero times and empty strings are null in the file.
type State struct {
	Status         Status
	ReceivedAt     time.Time
	ApprovedBy     string
	ApprovedAt     time.Time
	ApprovalMethod string
	RejectedBy     string
	RejectedAt     time.Time
	ReviewReason   string
	CompletedAt    time.Time
	ReturnCode     *int
}
